// What the policy believes, on the robot itself: centre of mass, velocity, load; and the truth.

import * as THREE from "three";

/** Loads are drawn as balls of this density [kg/m^3]: concrete's. */
const DENSITY = 2400;
const SECONDS_OF_ARROW = 0.5;
/** Arrows float above the base, and above a boom [m]. */
const ABOVE_BASE = 0.25;
const ABOVE_BOOM = 0.42;
const LEAST_SPEED = 0.03;

/** Radius of the ball that a load is drawn as [m]. */
const ballRadius = (mass) => Math.cbrt((3 * Math.max(mass, 0)) / (4 * Math.PI * DENSITY));

/** A material that is seen through the robot. */
const seen = (options = {}) =>
  new THREE.MeshBasicMaterial({ depthTest: false, transparent: true, fog: false, ...options });

/** An arrow in the plane, from the origin ahead, of length 1. */
function arrow(material, width) {
  const [head, wing] = [0.07, 1.6 * width];
  const group = new THREE.Group();
  const shaft = new THREE.Mesh(new THREE.PlaneGeometry(1, width).translate(0.5, 0, 0), material);
  const tip = new THREE.Shape();
  tip.moveTo(head, 0).lineTo(0, wing).lineTo(0, -wing);
  const point = new THREE.Mesh(new THREE.ShapeGeometry(tip), material);
  group.add(shaft, point);
  group.renderOrder = shaft.renderOrder = point.renderOrder = 9;
  group.point = (x, y) => {
    const length = Math.hypot(x, y) * SECONDS_OF_ARROW;
    group.visible = length > LEAST_SPEED;
    group.rotation.z = Math.atan2(y, x);
    shaft.scale.x = Math.max(length, 1e-3);
    point.position.x = length;
  };
  return group;
}

/** Markers of one robot; estimates are translucent and blue, the truth is solid. */
export class Markers extends THREE.Group {
  #base = new THREE.Group();
  #level = new THREE.Group();
  #felt = seen({ opacity: 0.55, side: THREE.DoubleSide });
  #true = seen({ side: THREE.DoubleSide });
  #ring = seen();
  #ball = new THREE.MeshStandardMaterial({ roughness: 0.6 });
  #parts;
  #above;

  /** @param {boolean} hasBoom whether the robot has one */
  constructor(hasBoom) {
    super();
    this.#above = hasBoom ? ABOVE_BOOM : ABOVE_BASE;
    const sphere = new THREE.SphereGeometry(1, 24, 16);
    const part = (geometry, material, radius, order) => {
      const mesh = new THREE.Mesh(geometry, material);
      mesh.scale.setScalar(radius);
      mesh.renderOrder = order;
      return mesh;
    };
    this.#parts = {
      trueCom: part(sphere, this.#true, 0.016, 11),
      feltCom: part(sphere, this.#felt, 0.034, 10),
      trueArrow: arrow(this.#true, 0.012),
      feltArrow: arrow(this.#felt, 0.036),
      load: part(sphere, this.#ball, 1, 0),
      feltLoad: part(new THREE.TorusGeometry(1, 0.06, 8, 48), this.#ring, 1, 8),
    };
    const { trueCom, feltCom, trueArrow, feltArrow, load, feltLoad } = this.#parts;
    load.castShadow = true;
    this.#base.add(trueCom, feltCom);
    this.#level.add(feltArrow, trueArrow);
    this.add(this.#base, this.#level, load, feltLoad);
  }

  /** @param {(name: string) => string} color value of a colour of the style sheet */
  paint(color) {
    this.#felt.color.set(color("--first"));
    this.#ring.color.set(color("--first"));
    this.#true.color.set(color("--ink"));
    this.#ball.color.set(color("--load"));
  }

  /**
   * Put them where they belong.
   * @param {{pos: ArrayLike<number>, quat: ArrayLike<number>}} base pose of the base
   * @param {{pos: ArrayLike<number>} | null} carrier pose of the body that carries the load
   * @param {object} record of the last control period, from Walk.step
   * @param {THREE.Quaternion} eye orientation of the camera, which rings face
   */
  update(base, carrier, { truth, estimates }, eye) {
    const { trueCom, feltCom, trueArrow, feltArrow, load, feltLoad } = this.#parts;
    const [w, x, y, z] = base.quat;
    this.#base.position.set(...base.pos);
    this.#base.quaternion.set(x, y, z, w);
    this.#level.position.set(base.pos[0], base.pos[1], base.pos[2] + this.#above);
    this.#level.rotation.z = Math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z));
    trueCom.position.fromArray(truth.com);
    feltCom.visible = Boolean(estimates.com);
    if (estimates.com) feltCom.position.fromArray(estimates.com);
    trueArrow.point(truth.velocity[0], truth.velocity[1]);
    feltArrow.point(...(estimates.velocity ?? [0, 0]));
    load.visible = carrier !== null && truth.mass[0] > 0.05;
    feltLoad.visible = carrier !== null && (estimates.mass?.[0] ?? 0) > 0.05;
    if (carrier === null) return;
    load.position.set(...carrier.pos);
    feltLoad.position.set(...carrier.pos);
    feltLoad.quaternion.copy(eye);
    load.scale.setScalar(Math.max(ballRadius(truth.mass[0]), 1e-3));
    feltLoad.scale.setScalar(Math.max(ballRadius(estimates.mass?.[0] ?? 0), 1e-3));
  }
}
