// The sticks of a gamepad, as shares of a command.

/** Sticks that nobody touches stand this far from their middle at the most. */
const DEAD_ZONE = 0.12;

/**
 * The left stick walks and goes sideways, the right one turns.
 * @returns {number[]} ahead, to the left, turn to the left, each -1 to 1; zeros without a gamepad
 */
export function readGamepad() {
  const pad = navigator.getGamepads?.().find((each) => each?.connected);
  // The sum has no negative zero.
  const axis = (i) => 0 - (Math.abs(pad?.axes[i] ?? 0) > DEAD_ZONE ? pad.axes[i] : 0);
  return [axis(1), axis(0), axis(2)];
}
