// Walks a site's robot under Node: node walk.mjs SITE JSON, with ground, size, load, boom, yaw,
// lift, command, seconds, and perhaps push: when, and by which change of velocity. Prints what
// Python shall compare, as JSON.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [site, options] = process.argv.slice(2);
const wish = JSON.parse(options);
const part = (name) => import(pathToFileURL(`${site}/${name}`).href);
const { startMujoco, startOnnxruntime } = await part("engines.js");
const { unpack } = await part("loading.js");
const { Policy } = await part("policy.js");
const { Robot } = await part("robot.js");
const { makeGround } = await part("terrain.js");
const { Walk } = await part("walk.js");

const bytes = async (name) => new Uint8Array(await readFile(`${site}/${name}`));
const facts = JSON.parse(await readFile(`${site}/scene.json`, "utf8"));
const xml = await readFile(`${site}/model.xml`, "utf8");
const mj = await startMujoco(await unpack(await bytes("vendor/mujoco.bin")));
const ort = await startOnnxruntime(await unpack(await bytes("vendor/ort.bin")));

const ground = makeGround(wish.ground, wish.size);
const robot = new Robot(mj, xml, facts, ground);
robot.setLoad(wish.load);
robot.turnBoom(wish.boom);
robot.stand(wish.yaw);
// Feet that just touch the ground are a matter of the last digit.
robot.data.qpos[robot.baseQ + 2] += wish.lift;
const walk = new Walk(robot, await Policy.load(ort, await bytes("policy.onnx"), facts), facts);
const plain = (values) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, [...value]]));
const records = [];
while (walk.time < wish.seconds - 1e-9) {
  if (wish.push && Math.abs(walk.time - wish.push.at) < 1e-9) robot.push(wish.push.change, 0.1);
  const record = await walk.step(wish.command);
  if (!record) continue;
  records.push({
    position: [...record.position],
    estimates: plain(record.estimates),
    truth: plain(record.truth),
    fallen: record.fallen,
  });
}
console.log(JSON.stringify({ records, boxes: ground.boxes }));
