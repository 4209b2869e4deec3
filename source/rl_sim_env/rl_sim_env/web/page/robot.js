// The robot in MuJoCo: what rl_sim_env.deploy.mujoco_robot does in Python, step by step the same.

import { driveTorque } from "./drive.js";
import { NO_GROUND, withGround } from "./terrain.js";
import { aroundAxis, multiply, projectedGravity, toBody } from "./vectors.js";

/**
 * One robot on one ground, standing in its default pose. Positions and velocities are of the
 * world [m, m/s] unless a name says otherwise; the base frame is x ahead, y left, z up.
 */
export class Robot {
  #mj;
  #facts;
  #base;
  #load;
  #boom;
  #joints;
  #untouchable;
  /** Mass [kg] and inertia [kg m^2] of the body that carries the load, without it. */
  #unloaded;
  /** Orientation of the boom when it points ahead. */
  #ahead;
  #push = { force: [0, 0, 0], steps: 0 };

  /**
   * @param {object} mj MuJoCo's module
   * @param {string} xml MJCF of the robot without ground
   * @param {object} facts scene.json
   * @param {import("./terrain.js").Ground} [ground] a plane where none is given
   * @throws {Error} MuJoCo's words where it cannot make a model of it
   */
  constructor(mj, xml, facts, ground = NO_GROUND) {
    this.#mj = mj;
    this.#facts = facts;
    this.model = mj.MjModel.from_xml_string(withGround(xml, ground));
    if (ground.field) this.model.hfield_data.set(ground.field.data);
    this.data = new mj.MjData(this.model);
    // Recomputing a model's constants overwrites a state; ours shall stay.
    this.scratch = new mj.MjData(this.model);
    const { parts } = facts;
    this.#base = this.#body(parts.base_body);
    this.#load = parts.load_body && this.#body(parts.load_body);
    this.#boom = facts.boom && this.#body(facts.boom.body);
    this.#joints = facts.policy.joint_names.map((name) => {
      const joint = mj.mj_name2id(this.model, mj.mjtObj.mjOBJ_JOINT.value, name);
      return { q: this.model.jnt_qposadr[joint], v: this.model.jnt_dofadr[joint] };
    });
    const joint = this.model.body_jntadr[this.#base];
    this.baseQ = this.model.jnt_qposadr[joint];
    this.baseV = this.model.jnt_dofadr[joint];
    this.#untouchable = new Set([this.#base, this.#load].filter((body) => body !== null));
    const mass = this.#load === null ? 0 : this.model.body_mass[this.#load];
    this.#unloaded = { mass, inertia: this.#ofBody("body_inertia", this.#load, 3) };
    this.#ahead = this.#ofBody("body_quat", this.#boom, 4);
    this.stand();
  }

  #body(name) {
    return this.#mj.mj_name2id(this.model, this.#mj.mjtObj.mjOBJ_BODY.value, name);
  }

  #ofBody(field, body, width) {
    return body === null ? [] : [...this.model[field].slice(body * width, (body + 1) * width)];
  }

  /**
   * Put the robot on the ground at the origin, in its default pose, at rest.
   * @param {number} [yaw] heading [rad]; 0 towards slope and stairs
   */
  stand(yaw = 0) {
    const { model, data } = this;
    this.#mj.mj_resetData(model, data);
    this.#push.steps = 0;
    const q = data.qpos;
    this.#joints.forEach((joint, i) => {
      q[joint.q] = this.#facts.policy.default_joint_pos[i];
    });
    q.set([0, 0, 0, ...aroundAxis([0, 0, 1], yaw)], this.baseQ);
    this.#mj.mj_kinematics(model, data);
    const feet = this.#facts.parts.foot_geoms.map((name) =>
      this.#mj.mj_name2id(model, this.#mj.mjtObj.mjOBJ_GEOM.value, name),
    );
    const lowest = feet.map((g) => data.geom_xpos[3 * g + 2] - model.geom_size[3 * g]);
    q[this.baseQ + 2] = -Math.min(...lowest);
    this.#mj.mj_forward(model, data);
  }

  /**
   * Hang a load on the robot, in place of the one before.
   * @param {number} load [kg]
   */
  setLoad(load) {
    if (this.#load === null) return;
    const { mass, inertia } = this.#unloaded;
    const scaled = inertia.map((value) => value * (1 + load / mass));
    this.model.body_inertia.set(scaled, 3 * this.#load);
    this.model.body_mass[this.#load] = mass + load;
    this.#mj.mj_setConst(this.model, this.scratch);
  }

  /**
   * Turn the boom.
   * @param {number} angle direction about the vertical [rad]; 0 ahead, positive to the left
   */
  turnBoom(angle) {
    if (this.#boom === null) return;
    const turned = multiply(this.#ahead, aroundAxis(this.#facts.boom.axis, angle));
    this.model.body_quat.set(turned, 4 * this.#boom);
    this.#mj.mj_setConst(this.model, this.scratch);
  }

  /**
   * Push the base for a while.
   * @param {number[]} change of velocity that it would bring to robot and load [m/s]
   * @param {number} seconds how long [s]
   */
  push(change, seconds) {
    const mass = this.model.body_subtreemass[this.#base];
    this.#push.force = change.map((value) => (value * mass) / seconds);
    this.#push.steps = Math.round(seconds / this.#facts.time_step);
  }

  /**
   * Let one physics step pass.
   * @param {ArrayLike<number>} targets of the joints [rad]
   */
  step(targets) {
    const { model, data } = this;
    const [q, v, torques] = [data.qpos, data.qvel, data.qfrc_applied];
    this.#joints.forEach((joint, i) => {
      torques[joint.v] = driveTorque(this.#facts.policy, i, targets[i], q[joint.q], v[joint.v]);
    });
    const pushed = this.#push.steps > 0 ? this.#push.force : [0, 0, 0];
    data.xfrc_applied.set(pushed, 6 * this.#base);
    this.#push.steps -= 1;
    this.#mj.mj_step(model, data);
  }

  /** Bring contacts and centres of mass up to the state: a step leaves those of before. */
  refresh() {
    this.#mj.mj_fwdPosition(this.model, this.data);
  }

  /** Position of the base. */
  get basePos() {
    return this.data.qpos.slice(this.baseQ, this.baseQ + 3);
  }

  /** Orientation of the base in the world, w first. */
  get quaternion() {
    return this.data.qpos.slice(this.baseQ + 3, this.baseQ + 7);
  }

  /** Velocity of the base's origin, base frame. */
  get baseLinVel() {
    return toBody(this.quaternion, this.data.qvel.slice(this.baseV, this.baseV + 3));
  }

  /** Mass above that of the robot without load [kg]. */
  get mass() {
    return this.model.body_subtreemass[this.#base] - this.#facts.nominal_mass;
  }

  /** Centre of mass of robot and load, base frame [m]. */
  get com() {
    const [com, base] = [this.data.subtree_com, this.data.xpos];
    const at = 3 * this.#base;
    return toBody(this.quaternion, [0, 1, 2].map((i) => com[at + i] - base[at + i]));
  }

  /**
   * What the sensors say, by name; joints in the policy's order.
   * @returns {Record<string, ArrayLike<number>>}
   */
  get sensors() {
    const { qpos, qvel, qfrc_applied: torques } = this.data;
    return {
      base_ang_vel: qvel.slice(this.baseV + 3, this.baseV + 6),
      projected_gravity: projectedGravity(this.quaternion),
      joint_pos: this.#joints.map((joint) => qpos[joint.q]),
      joint_vel: this.#joints.map((joint) => qvel[joint.v]),
      joint_torques: this.#joints.map((joint) => torques[joint.v]),
    };
  }

  /** Whether trunk or load touch something, or the base is tilted too far. */
  get hasFallen() {
    if (projectedGravity(this.quaternion)[2] > -Math.cos(this.#facts.fall_angle)) return true;
    const bodies = this.model.geom_bodyid;
    // Contacts are copies, which WebAssembly keeps until they are deleted.
    const contacts = this.data.contact;
    let touches = false;
    for (let i = 0; i < contacts.size() && !touches; i++) {
      const contact = contacts.get(i);
      touches = [contact.geom1, contact.geom2].some((g) => this.#untouchable.has(bodies[g]));
      contact.delete();
    }
    contacts.delete();
    return touches;
  }

  /** Position and orientation of a body by name, in the world, as drawing wants them. */
  poseOf(name) {
    const body = this.#body(name);
    return {
      pos: this.data.xpos.slice(3 * body, 3 * body + 3),
      quat: this.data.xquat.slice(4 * body, 4 * body + 4),
    };
  }

  /** Give MuJoCo's memory back. */
  dispose() {
    this.scratch.delete();
    this.data.delete();
    this.model.delete();
  }
}
