// A robot and its policy, walking through time.

/** A walk: physics steps, and a decision of the policy at the begin of every control period. */
export class Walk {
  #steps = 0;
  #perPeriod;
  #decision = null;

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
    policy.reset();
  }

  /** Time since the start [s]. */
  get time() {
    return this.#steps * this.timeStep;
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
    if (this.#steps % this.#perPeriod === 0) {
      const { robot } = this;
      robot.refresh();
      const truth = { mass: [robot.mass], com: robot.com, velocity: robot.baseLinVel };
      this.#decision = await this.policy.step({ ...robot.sensors, velocity_commands: command });
      const { basePos: position, hasFallen: fallen } = robot;
      record = { ...this.#decision, truth, position, fallen, time: this.time };
    }
    this.robot.step(this.#decision.jointTargets);
    this.#steps += 1;
    return record;
  }
}
