// The ground in three.js: a plane without end with lines on it, and the island.

import * as THREE from "three";

/** Half the side of the drawn piece of the plane [m]; the fog hides its edge. */
const HALF = 40;
const LINE_SHARE = 0.006;
const TEXTURE = 512;
const FEW_LINES = 16;
const SHADES = [0, 0.14, 0.05, 0.2, 0.1];

/** A tile of one square metre with a line on its edge. */
function tile(floor, line) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = TEXTURE;
  const pen = canvas.getContext("2d");
  pen.fillStyle = floor;
  pen.fillRect(0, 0, TEXTURE, TEXTURE);
  pen.strokeStyle = line;
  pen.lineWidth = 2 * LINE_SHARE * TEXTURE;
  pen.strokeRect(0, 0, TEXTURE, TEXTURE);
  const texture = new THREE.CanvasTexture(canvas);
  texture.wrapS = texture.wrapT = THREE.RepeatWrapping;
  texture.repeat.set(2 * HALF, 2 * HALF);
  texture.anisotropy = 8;
  texture.colorSpace = THREE.SRGBColorSpace;
  return texture;
}

/** The plane where the processor draws: lines alone, of which it draws few points. */
function lines() {
  const ends = [];
  // Piece by piece: one that reaches behind the eye may be left out as a whole.
  for (let i = -FEW_LINES; i < FEW_LINES; i++) {
    for (let j = -FEW_LINES; j < FEW_LINES; j++) {
      ends.push(i, j, 0, i + 1, j, 0, i, j, 0, i, j + 1, 0);
    }
  }
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.Float32BufferAttribute(ends, 3));
  return new THREE.LineSegments(geometry, new THREE.LineBasicMaterial());
}

/** A plane with lines on it, which takes shadows. */
function tiles() {
  const geometry = new THREE.PlaneGeometry(2 * HALF, 2 * HALF);
  const plane = new THREE.Mesh(geometry, new THREE.MeshLambertMaterial());
  plane.receiveShadow = true;
  return plane;
}

/** Heights of a field as triangles, as MuJoCo divides its cells. */
function fieldGeometry({ nodes, half, top, data }) {
  const positions = new Float32Array(3 * data.length);
  data.forEach((value, i) => {
    const [column, row] = [i % nodes, Math.floor(i / nodes)];
    const at = (index) => ((2 * index) / (nodes - 1) - 1) * half;
    positions.set([at(column), at(row), value * top], 3 * i);
  });
  const faces = [];
  for (let row = 0; row < nodes - 1; row++) {
    for (let column = 0; column < nodes - 1; column++) {
      const a = row * nodes + column;
      faces.push(a, a + 1, a + nodes + 1, a, a + nodes + 1, a + nodes);
    }
  }
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.BufferAttribute(positions, 3));
  geometry.setIndex(faces);
  geometry.computeVertexNormals();
  return geometry;
}

/** Boxes as one mesh of many instances. */
function boxMesh(boxes, material) {
  const mesh = new THREE.InstancedMesh(new THREE.BoxGeometry(2, 2, 2), material, boxes.length);
  const [matrix, shade] = [new THREE.Matrix4(), new THREE.Color()];
  boxes.forEach(({ pos, size }, i) => {
    mesh.setMatrixAt(i, matrix.makeScale(...size).setPosition(...pos));
    // Neighbours are told apart by their shade.
    mesh.setColorAt(i, shade.setScalar(1 - SHADES[i % SHADES.length]));
  });
  mesh.castShadow = true;
  return mesh;
}

/** What is drawn of a ground. */
export class GroundView extends THREE.Group {
  #plane;
  #island = null;
  #boxes;
  #facets;

  /** @param {boolean} cheap whether to draw lines alone instead of the plane */
  constructor(cheap) {
    super();
    this.#plane = cheap ? lines() : tiles();
    this.add(this.#plane);
    this.#boxes = new THREE.MeshLambertMaterial();
    this.#facets = new THREE.MeshLambertMaterial({ flatShading: true });
  }

  /** @param {(name: string) => string} color value of a colour of the style sheet */
  paint(color) {
    const { material, isMesh } = this.#plane;
    if (isMesh) {
      material.map?.dispose();
      material.map = tile(color("--floor"), color("--line"));
      material.needsUpdate = true;
    } else {
      material.color.set(color("--line"));
    }
    for (const island of [this.#boxes, this.#facets]) island.color.set(color("--island"));
  }

  /** @param {import("./terrain.js").Ground} ground */
  show({ boxes, field }) {
    if (this.#island) {
      this.remove(this.#island);
      this.#island.geometry.dispose();
      this.#island.dispose?.();
    }
    this.#island = null;
    if (field) {
      this.#island = new THREE.Mesh(fieldGeometry(field), this.#facets);
      this.#island.position.set(field.pos[0], field.pos[1], 0.001);
    } else if (boxes.length) {
      this.#island = boxMesh(boxes, this.#boxes);
    }
    if (!this.#island) return;
    this.#island.receiveShadow = true;
    this.add(this.#island);
  }

  /** Keep the plane below the robot, by whole tiles. */
  follow(x, y) {
    this.#plane.position.set(Math.round(x), Math.round(y), 0);
  }
}
