// Keys, touch stick and gamepad, as one command.

import { readGamepad } from "./gamepad.js";

/** Keys by what they add to the command: ahead, to the left, turn to the left. */
const KEYS = {
  KeyW: [1, 0, 0],
  KeyS: [-1, 0, 0],
  KeyQ: [0, 1, 0],
  KeyE: [0, -1, 0],
  KeyA: [0, 0, 1],
  KeyD: [0, 0, -1],
  ArrowUp: [1, 0, 0],
  ArrowDown: [-1, 0, 0],
  ArrowLeft: [0, 0, 1],
  ArrowRight: [0, 0, -1],
};

/** Share of the greatest command that keys give. */
const KEY_SHARE = 0.8;

/** Whether a key is meant for the browser, or for what has the focus, as arrows for a slider. */
const isForElement = ({ target, code, ctrlKey, metaKey, altKey }) =>
  ctrlKey ||
  metaKey ||
  altKey ||
  (target.matches("input") && !code.startsWith("Key")) ||
  (target.matches("button") && code === "Space");

/** What somebody wants the robot to do. */
export class Controls {
  #keys = new Set();
  #stick = [0, 0];
  #limit;
  /** Whether anybody has driven yet. */
  touched = false;

  /**
   * @param {number} limit greatest command [m/s, m/s, rad/s]
   * @param {Record<string, () => void>} actions by code of a key
   */
  constructor(limit, actions) {
    this.#limit = limit;
    addEventListener("keydown", (event) => {
      if (isForElement(event)) return;
      if (event.code in KEYS) {
        this.#keys.add(event.code);
      } else if (event.code in actions && !event.repeat) {
        actions[event.code]();
      } else {
        return;
      }
      event.preventDefault();
    });
    addEventListener("keyup", (event) => this.#keys.delete(event.code));
    addEventListener("blur", () => this.#keys.clear());
  }

  /**
   * Let an element be a stick: up and down to walk, left and right to turn.
   * @param {HTMLElement} element with one element in it, the knob
   */
  useStick(element) {
    const knob = element.firstElementChild;
    const move = (event) => {
      const { left, top, width } = element.getBoundingClientRect();
      const radius = width / 2;
      const [x, y] = [event.clientX - left - radius, event.clientY - top - radius];
      const scale = 1 / Math.max(radius, Math.hypot(x, y));
      this.#stick = [x * scale, y * scale];
      knob.style.translate = `${0.6 * radius * x * scale}px ${0.6 * radius * y * scale}px`;
    };
    const release = () => {
      this.#stick = [0, 0];
      knob.style.translate = "";
    };
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      move(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) move(event);
    });
    element.addEventListener("pointerup", release);
    element.addEventListener("pointercancel", release);
  }

  /** Velocity ahead and to the left [m/s], yaw rate [rad/s]. */
  get command() {
    const sum = [0, 0, 0];
    const add = (values, share) => values.forEach((value, i) => (sum[i] += share * value));
    for (const code of this.#keys) add(KEYS[code], KEY_SHARE);
    add([-this.#stick[1], 0, -this.#stick[0]], 1);
    add(readGamepad(), 1);
    this.touched ||= sum.some((value) => value !== 0);
    return sum.map((value) => this.#limit * Math.min(Math.max(value, -1), 1));
  }
}
