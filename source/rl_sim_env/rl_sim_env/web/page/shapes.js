// Shapes of the robot, as scene.json lists them, in three.js.

import * as THREE from "three";
import { RoundedBoxGeometry } from "./vendor/RoundedBoxGeometry.js";

/** Edges of boxes are drawn a little rounded: this share of the shortest side. */
const ROUNDING = 0.16;

/**
 * Cut the meshes out of the bytes of meshes.bin.
 * @param {Uint8Array} bytes vertices (float32) and faces (uint32) of one mesh after the other
 * @param {{vertices: number, faces: number}[]} sizes
 * @returns {THREE.BufferGeometry[]}
 */
export function readMeshes(bytes, sizes) {
  let offset = bytes.byteOffset;
  const take = (Type, length) => {
    const values = new Type(bytes.buffer, offset, length);
    offset += values.byteLength;
    return values;
  };
  return sizes.map(({ vertices, faces }) => {
    const geometry = new THREE.BufferGeometry();
    const positions = new THREE.BufferAttribute(take(Float32Array, 3 * vertices), 3);
    geometry.setAttribute("position", positions);
    geometry.setIndex(new THREE.BufferAttribute(take(Uint32Array, 3 * faces), 1));
    return geometry;
  });
}

/** MuJoCo's long axis is z, that of three.js is y. */
const upright = (geometry) => geometry.rotateX(Math.PI / 2);

const MAKERS = {
  sphere: ([radius]) => new THREE.SphereGeometry(radius, 28, 18),
  capsule: ([radius, half]) => upright(new THREE.CapsuleGeometry(radius, 2 * half, 8, 20)),
  cylinder: ([radius, half]) => upright(new THREE.CylinderGeometry(radius, radius, 2 * half, 32)),
  ellipsoid: (size) => new THREE.SphereGeometry(1, 28, 18).scale(...size),
  box: (size) =>
    new RoundedBoxGeometry(...size.map((half) => 2 * half), 3, ROUNDING * Math.min(...size)),
};

/**
 * The robot as groups, one for each body, to be put where the bodies are.
 * @param {object[]} visuals of scene.json; lengths [m]
 * @param {THREE.BufferGeometry[]} meshes
 * @param {boolean} cheap whether light shall be simple
 * @returns {Map<string, THREE.Group>} by name of the body
 */
export function makeBodies(visuals, meshes, cheap) {
  const Material = cheap ? THREE.MeshLambertMaterial : THREE.MeshStandardMaterial;
  const bodies = new Map();
  const materials = new Map();
  for (const { body, type, size, pos, quat, rgba, mesh } of visuals) {
    const key = `${rgba} ${type === "mesh"}`;
    if (!materials.has(key)) {
      const [r, g, b, opacity] = rgba;
      const color = new THREE.Color().setRGB(r, g, b, THREE.SRGBColorSpace);
      const flatShading = type === "mesh";
      const look = { color, flatShading };
      if (!cheap) Object.assign(look, { roughness: 0.55, metalness: 0.1 });
      if (opacity < 1) Object.assign(look, { transparent: true, opacity });
      materials.set(key, new Material(look));
    }
    const geometry = type === "mesh" ? meshes[mesh] : MAKERS[type](size);
    const shape = new THREE.Mesh(geometry, materials.get(key));
    place(shape, pos, quat);
    shape.castShadow = true;
    if (!bodies.has(body)) bodies.set(body, new THREE.Group());
    bodies.get(body).add(shape);
  }
  return bodies;
}

/**
 * Put an object where a body is.
 * @param {THREE.Object3D} object
 * @param {ArrayLike<number>} pos world, or frame of the parent [m]
 * @param {ArrayLike<number>} quat w first
 */
export function place(object, pos, quat) {
  object.position.set(pos[0], pos[1], pos[2]);
  object.quaternion.set(quat[1], quat[2], quat[3], quat[0]);
}
