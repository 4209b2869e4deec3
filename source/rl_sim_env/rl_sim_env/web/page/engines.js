// MuJoCo and onnxruntime as WebAssembly, in a browser and under Node alike.

import { named } from "./loading.js";

const at = (name) => new URL(`./vendor/${name}`, import.meta.url).href;

/**
 * Start MuJoCo.
 * @param {Uint8Array} wasm
 * @returns {Promise<object>} its module
 */
export async function startMujoco(wasm) {
  return named("MuJoCo", async () => {
    const { default: load } = await import("./vendor/mujoco.js");
    return load({ wasmBinary: wasm });
  });
}

/**
 * Prepare onnxruntime; one thread, for others need headers that few static hosts send.
 * @param {Uint8Array} wasm
 * @returns {Promise<object>} its module
 */
export async function startOnnxruntime(wasm) {
  return named("onnxruntime", async () => {
    const ort = await import("./vendor/ort.js");
    Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: wasm.buffer });
    ort.env.wasm.wasmPaths = { mjs: at("ort-wasm.js") };
    return ort;
  });
}
