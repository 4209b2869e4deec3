// The exported policy with its memory: rl_sim_env.deploy.deployed_policy in the browser.

const STATE = ["history", "last_action", "memory"];

/**
 * @typedef {object} PolicyStep
 * @property {Float32Array} jointTargets [rad]
 * @property {Record<string, Float32Array>} estimates by name, in SI units
 * @property {Record<string, Float32Array> | null} std deviations of their errors; null where the
 *   policy does not say
 * @property {boolean | null} beyondTraining whether the load may be heavier than any in training;
 *   null where the policy does not say
 */

/** A policy for one robot. */
export class Policy {
  #ort;
  #session;
  #facts;
  #state;

  /**
   * @param {object} ort onnxruntime-web
   * @param {Uint8Array} bytes policy.onnx as exported
   * @param {object} facts scene.json
   * @throws {Error} onnxruntime's words where it is no such policy
   */
  static async load(ort, bytes, facts) {
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    const unknown = session.inputNames.filter((name) => !(name in facts.policy.inputs));
    if (unknown.length) throw new Error(`its input ${unknown[0]} is not in scene.json`);
    return new Policy(ort, session, facts);
  }

  constructor(ort, session, facts) {
    this.#ort = ort;
    this.#session = session;
    this.#facts = facts;
    this.reset();
  }

  /** Forget: the next step begins an episode. */
  reset() {
    const blank = (name) => {
      const shape = this.#facts.policy.inputs[name];
      const size = shape.reduce((a, b) => a * b);
      return new this.#ort.Tensor("float32", new Float32Array(size).fill(NaN), shape);
    };
    this.#state = Object.fromEntries(STATE.map((name) => [name, blank(name)]));
  }

  /**
   * Decide what the joints do until the next control period.
   * @param {Record<string, ArrayLike<number>>} readings of the sensors, and velocity_commands
   * @returns {Promise<PolicyStep>}
   * @throws {Error} what it makes of them is not finite
   */
  async step(readings) {
    const inputs = { ...this.#state };
    for (const name of this.#session.inputNames) {
      if (name in inputs) continue;
      const shape = this.#facts.policy.inputs[name];
      inputs[name] = new this.#ort.Tensor("float32", Float32Array.from(readings[name]), shape);
    }
    const outputs = await this.#session.run(inputs);
    for (const [name, values] of Object.entries(outputs)) {
      if (!values.data.every(Number.isFinite)) throw new Error(`${name} is not finite`);
    }
    this.#state = Object.fromEntries(STATE.map((name) => [name, outputs[`next_${name}`]]));
    const estimates = this.#byName(outputs.estimates.data);
    const std = outputs.estimates_std ? this.#byName(outputs.estimates_std.data) : null;
    return {
      jointTargets: outputs.joint_targets.data,
      estimates,
      std,
      beyondTraining: this.#isBeyondTraining(estimates, std),
    };
  }

  #byName(columns) {
    let first = 0;
    return Object.fromEntries(
      this.#facts.policy.estimates.map(({ name, width }) => {
        first += width;
        return [name, columns.slice(first - width, first)];
      }),
    );
  }

  #isBeyondTraining(estimates, std) {
    const trained = this.#facts.policy.estimates.find(({ name }) => name === "mass");
    if (!std || !trained?.trained_range) return null;
    const [[least, greatest]] = trained.trained_range;
    const reach = this.#facts.deviations_95 * std.mass[0];
    return estimates.mass[0] - reach < least || estimates.mass[0] + reach > greatest;
  }
}
