// Files of the page, with words for what went wrong.

const GZIP = [0x1f, 0x8b];

/** What could not be loaded, and why, for the eyes of the visitor. */
export class LoadError extends Error {
  /**
   * @param {string} what file or part
   * @param {unknown} cause what was thrown, or words
   */
  constructor(what, cause) {
    const words = cause instanceof Error ? cause.message : String(cause);
    super(`${what}: ${words.split("\n")[0]}`, { cause });
  }
}

/**
 * Run something that may fail, and say what it was.
 * @template T
 * @param {string} what
 * @param {() => Promise<T> | T} action
 * @returns {Promise<T>}
 * @throws {LoadError}
 */
export async function named(what, action) {
  try {
    return await action();
  } catch (error) {
    throw error instanceof LoadError ? error : new LoadError(what, error);
  }
}

/**
 * Unpack gzip; bytes that are none, as from a host that unpacks itself, stay as they are.
 * @param {Uint8Array} bytes
 * @returns {Promise<Uint8Array>}
 */
export async function unpack(bytes) {
  if (bytes[0] !== GZIP[0] || bytes[1] !== GZIP[1]) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Fetch a file.
 * @param {string} path relative to the page
 * @param {(bytes: number) => void} onBytes called with the size of each part that has come
 * @returns {Promise<Uint8Array>} unpacked
 * @throws {LoadError}
 */
export async function fetchBytes(path, onBytes) {
  return named(path, async () => {
    const response = await fetch(path);
    if (!response.ok) throw new Error(`HTTP ${response.status} ${response.statusText}`);
    const parts = [];
    const reader = response.body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      onBytes(part.value.length);
    }
    return unpack(new Uint8Array(await new Blob(parts).arrayBuffer()));
  });
}
