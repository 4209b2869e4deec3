// The position-controlled drives of the joints.

/**
 * @typedef {object} Drives Gains and limits, one value for each joint.
 * @property {number[]} stiffness kp [N m/rad]
 * @property {number[]} damping kd [N m s/rad]
 * @property {number[]} effort_limit greatest torque [N m]
 * @property {number[]} stall_torque where the torque-speed line meets zero speed [N m]
 * @property {number[]} velocity_limit where the line meets zero torque [rad/s]
 */

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/**
 * Torque of one drive, whose motor weakens with speed.
 * @param {Drives} drives
 * @param {number} joint index of the joint
 * @param {number} target [rad]
 * @param {number} position [rad]
 * @param {number} velocity [rad/s]
 * @returns {number} [N m]
 */
export function driveTorque(drives, joint, target, position, velocity) {
  const effort = drives.effort_limit[joint];
  const stall = drives.stall_torque[joint];
  const speed = velocity / drives.velocity_limit[joint];
  const highest = clamp(stall * (1 - speed), -effort, effort);
  const lowest = clamp(stall * (-1 - speed), -effort, effort);
  const wanted = drives.stiffness[joint] * (target - position) - drives.damping[joint] * velocity;
  return clamp(wanted, lowest, highest);
}
