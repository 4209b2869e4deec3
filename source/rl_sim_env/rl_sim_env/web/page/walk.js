// A robot and its policy, walking through time.

/** A walk: physics steps, and a decision of the policy at the begin of every control period. */
export class Walk {
  #steps = 0;
  #perPeriod;
  #decision = null;
  /** Physics steps that joint targets, torques and other signals come late. */
  #late;
  /** What the sensors said after the last physics steps, newest first. */
  #past = [];
  /** Joint targets that the drives know while those of the period are under way. */
  #known;

  /**
   * @param {import("./robot.js").Robot} robot
   * @param {import("./policy.js").Policy} policy
   * @param {object} facts scene.json
   */
  constructor(robot, policy, facts) {
    this.robot = robot;
    this.policy = policy;
    this.timeStep = facts.time_step;
    this.#perPeriod = Math.round(facts.policy.control_period / facts.time_step);
    this.#late = facts.late_steps;
    this.#known = facts.policy.default_joint_pos;
    policy.reset();
    this.#sample();
  }

  /** Time since the start [s]. */
  get time() {
    return this.#steps * this.timeStep;
  }

  #sample() {
    this.#past.unshift(this.robot.sensors);
    const oldest = Math.max(this.#late.signals, this.#late.torques);
    this.#past.length = Math.min(this.#past.length, oldest + 1);
  }

  /** What the policy is told of the robot: a little of the past. */
  get #sensed() {
    const at = (age) => this.#past[Math.min(age, this.#past.length - 1)];
    return { ...at(this.#late.signals), joint_torques: at(this.#late.torques).joint_torques };
  }

  /**
   * Let one physics step pass.
   * @param {number[]} command velocity ahead and to the left [m/s], yaw rate [rad/s]
   * @returns {Promise<object | null>} at the begin of a control period what the policy believes
   *   (see PolicyStep), and of the same moment `truth` by the names of the estimates (mass [kg],
   *   com [m] and velocity [m/s] in the base frame), `position` [m] and whether it has `fallen`;
   *   else null
   */
  async step(command) {
    let record = null;
    const sinceDecision = this.#steps % this.#perPeriod;
    if (sinceDecision === 0) {
      const { robot } = this;
      robot.refresh();
      const truth = { mass: [robot.mass], com: robot.com, velocity: robot.baseLinVel };
      this.#known = this.#decision?.jointTargets ?? this.#known;
      this.#decision = await this.policy.step({ ...this.#sensed, velocity_commands: command });
      const { basePos: position, hasFallen: fallen } = robot;
      record = { ...this.#decision, truth, position, fallen, time: this.time };
    }
    const isLate = sinceDecision < this.#late.targets;
    this.robot.step(isLate ? this.#known : this.#decision.jointTargets);
    this.#sample();
    this.#steps += 1;
    return record;
  }
}
