// Rotations by quaternions, w first, as MuJoCo has them.

/** @typedef {ArrayLike<number>} Vector three numbers, or four of a quaternion */

/**
 * Product of two quaternions.
 * @param {Vector} a
 * @param {Vector} b
 * @returns {number[]} the rotation by b, then by a
 */
export function multiply([aw, ax, ay, az], [bw, bx, by, bz]) {
  return [
    aw * bw - ax * bx - ay * by - az * bz,
    aw * bx + ax * bw + ay * bz - az * by,
    aw * by - ax * bz + ay * bw + az * bx,
    aw * bz + ax * by - ay * bx + az * bw,
  ];
}

/**
 * @param {Vector} axis unit vector
 * @param {number} angle [rad]
 * @returns {number[]} quaternion
 */
export function aroundAxis([x, y, z], angle) {
  const sine = Math.sin(angle / 2);
  return [Math.cos(angle / 2), x * sine, y * sine, z * sine];
}

/**
 * A vector of the world in the frame of a body.
 * @param {Vector} quaternion orientation of the body in the world
 * @param {Vector} vector
 * @returns {number[]}
 */
export function toBody(quaternion, [vx, vy, vz]) {
  const [w, x, y, z] = quaternion;
  const inverse = [w, -x, -y, -z];
  return multiply(multiply(inverse, [0, vx, vy, vz]), [w, x, y, z]).slice(1);
}

/**
 * Direction of gravity in the frame of a body.
 * @param {Vector} quaternion orientation of the body in the world
 * @returns {number[]} unit vector; (0, 0, -1) when level
 */
export function projectedGravity([w, x, y, z]) {
  return [2 * (w * y - x * z), -2 * (w * x + y * z), 2 * (x * x + y * y) - 1];
}
