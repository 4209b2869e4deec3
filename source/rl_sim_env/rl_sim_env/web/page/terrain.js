// Grounds that the robot walks on: a plane, and on it an island of slope, rubble, stairs or blocks.

/**
 * @typedef {object} Box
 * @property {number[]} pos centre, world [m]
 * @property {number[]} size half lengths [m]
 */

/**
 * @typedef {object} Field Heights on a grid, x by column and y by row.
 * @property {number} nodes columns, and rows [1]
 * @property {number[]} pos centre on the plane, world [m]
 * @property {number} half half its length, and width [m]
 * @property {number} top height that a value of 1 stands for [m]
 * @property {Float32Array} data values in [0, 1], row by row
 */

/**
 * @typedef {object} Ground
 * @property {Box[]} boxes
 * @property {Field | null} field
 */

/** Where an island begins, in front of the robot's start [m]; as GROUND_AHEAD in Python. */
const AHEAD = 0.8;
const STEP_DEPTH = 0.3;
const NUM_STEPS = 8;
const LANDING = 0.9;
const BLOCK = 0.5;
const NUM_BLOCKS = 16;
const FIELD_HALF = 4;
const FIELD_NODES = 81;
const PLATEAU = 1;
const RUBBLE_BORDER = 0.4;

/** What can be chosen: the size that a kind has, its unit, and the factor from it to SI units. */
export const KINDS = {
  flat: null,
  slope: { least: 5, most: 30, usual: 15, unit: "°", si: Math.PI / 180 },
  rubble: { least: 2, most: 15, usual: 8, unit: "cm", si: 0.01 },
  stairs: { least: 4, most: 20, usual: 12, unit: "cm", si: 0.01 },
  blocks: { least: 2, most: 20, usual: 10, unit: "cm", si: 0.01 },
};

/** @type {Ground} */
export const NO_GROUND = { boxes: [], field: null };

/**
 * Uniform numbers in [0, 1) that are the same wherever the seed is (mulberry32).
 * @param {number} seed
 * @returns {() => number}
 */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A pyramid of steps, as boxes in each other. */
function stairs(height) {
  const outermost = LANDING + (NUM_STEPS - 1) * STEP_DEPTH;
  const boxes = Array.from({ length: NUM_STEPS }, (_, step) => {
    const half = outermost - step * STEP_DEPTH;
    const top = (step + 1) * height;
    return { pos: [AHEAD + outermost, 0, top / 2], size: [half, half, top / 2] };
  });
  return { boxes, field: null };
}

/** Blocks of random height, side by side. */
function blocks(height, uniform) {
  const boxes = [];
  for (let column = 0; column < NUM_BLOCKS; column++) {
    for (let row = 0; row < NUM_BLOCKS; row++) {
      const top = height * Math.max(uniform(), 0.02);
      const y = (row + 0.5 - NUM_BLOCKS / 2) * BLOCK;
      const pos = [AHEAD + (column + 0.5) * BLOCK, y, top / 2];
      boxes.push({ pos, size: [BLOCK / 2, BLOCK / 2, top / 2] });
    }
  }
  return { boxes, field: null };
}

/** Heights in [0, top] as a function of the distance from centre and edge. */
function field(top, height) {
  const data = new Float32Array(FIELD_NODES ** 2);
  const at = (index) => (2 * index / (FIELD_NODES - 1) - 1) * FIELD_HALF;
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [at(i % FIELD_NODES), at(Math.floor(i / FIELD_NODES))];
    data[i] = height(FIELD_HALF - Math.max(Math.abs(x), Math.abs(y))) / top;
  }
  const pos = [AHEAD + FIELD_HALF, 0];
  return { boxes: [], field: { nodes: FIELD_NODES, pos, half: FIELD_HALF, top, data } };
}

/** A hill with a slope on each of four sides. */
function slope(angle) {
  const rise = Math.tan(angle);
  const run = FIELD_HALF - PLATEAU;
  return field(rise * run, (inwards) => rise * Math.min(inwards, run));
}

/** Heights drawn node by node, that begin at nothing. */
function rubble(height, uniform) {
  return field(height, (inwards) => height * uniform() * Math.min(inwards / RUBBLE_BORDER, 1));
}

/**
 * Make a ground.
 * @param {keyof typeof KINDS} kind
 * @param {number} size of slope [rad], or of rubble, steps, blocks [m]
 * @param {number} [seed] of what is random
 * @returns {Ground}
 */
export function makeGround(kind, size, seed = 1) {
  const makers = { flat: () => NO_GROUND, slope, rubble, stairs, blocks };
  return makers[kind](size, random(seed));
}

/**
 * Put a ground into a model, with the plane below it.
 * @param {string} xml MJCF without ground
 * @param {Ground} ground heights of a field are to be written into the compiled model
 * @returns {string}
 */
export function withGround(xml, { boxes, field: heights }) {
  const geoms = ['<geom type="plane" size="0 0 1"/>'];
  for (const { pos, size } of boxes) {
    geoms.push(`<geom type="box" pos="${pos.join(" ")}" size="${size.join(" ")}"/>`);
  }
  let asset = "";
  if (heights) {
    const { nodes, half, top, pos } = heights;
    const size = `${half} ${half} ${top} 0.1`;
    asset = `<asset><hfield name="ground" nrow="${nodes}" ncol="${nodes}" size="${size}"/></asset>`;
    geoms.push(`<geom type="hfield" hfield="ground" pos="${pos.join(" ")} 0"/>`);
  }
  return xml.replace("<worldbody>", `${asset}<worldbody>${geoms.join("")}`);
}
