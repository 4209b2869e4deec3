// The page: loads what it needs, and lets the robot walk.

import { Controls } from "./controls.js";
import { startMujoco, startOnnxruntime } from "./engines.js";
import { fetchBytes, named } from "./loading.js";
import { Panel, firstLanguage } from "./panel.js";
import { Plots } from "./plots.js";
import { Policy } from "./policy.js";
import { Robot } from "./robot.js";
import { makeGround } from "./terrain.js";
import { Texts } from "./texts.js";
import { Walk } from "./walk.js";

const FORMAT = 2;
const SLOW = 0.25;
/** Longest time that one picture may stand for, and that its physics may take [s]. */
const LONGEST_FRAME = 0.1;
const LONGEST_PHYSICS = 0.03;
const PUSH = 0.7;
const PUSH_SECONDS = 0.1;
const UP_AGAIN_AFTER = 2;
/** What it does until somebody drives: in a circle, or towards what lies ahead. */
const STROLL = [0.5, 0, 0.25];
const AHEAD = [0.5, 0, 0];

const byId = (id) => document.getElementById(id);
const texts = new Texts(firstLanguage());
texts.show();

/** Load everything; engines, robot and what draws it come side by side. */
async function load() {
  let [come, all] = [0, Infinity];
  const fetched = (path) =>
    fetchBytes(path, (bytes) => {
      come += bytes;
      byId("progress").value = Math.min(come / all, 1);
    });
  const told = fetched("scene.json").then(readFacts);
  const [facts, mj, ort, policyFile, xml, { View }, { readMeshes }, meshFile] = await Promise.all([
    told,
    fetched("vendor/mujoco.bin").then(startMujoco),
    fetched("vendor/ort.bin").then(startOnnxruntime),
    fetched("policy.onnx"),
    fetched("model.xml").then(text),
    named("three.js", () => import("./view.js")),
    named("three.js", () => import("./shapes.js")),
    told.then((facts) => {
      all = Object.values(facts.sizes).reduce((sum, size) => sum + size, 0);
      return facts.meshes.length ? fetched("meshes.bin") : new Uint8Array();
    }),
  ]);
  const policy = await named("policy.onnx", () => Policy.load(ort, policyFile, facts));
  const robot = await named("model.xml", () => new Robot(mj, xml, facts));
  const meshes = await named("meshes.bin", () => readMeshes(meshFile, facts.meshes));
  const view = await named("WebGL", () => new View(byId("view"), facts, meshes));
  return { mj, xml, facts, policy, robot, view };
}

const readFacts = (bytes) =>
  named("scene.json", () => {
    const facts = JSON.parse(text(bytes));
    if (facts.format === FORMAT) return facts;
    throw new Error(`format ${facts.format}, this page reads ${FORMAT}`);
  });

const text = (bytes) => new TextDecoder().decode(bytes);

/** Say that something does not work, and what. */
function fail(error) {
  console.error(error);
  byId("loading").classList.remove("done");
  byId("loading").setAttribute("role", "alert");
  document.querySelector("#loading h2").dataset.text = "failed";
  texts.show();
  byId("progress").hidden = true;
  byId("trouble").textContent = error.message;
}

/** The robot on the page: time, notices, and what the visitor changes. */
class Page {
  #mj;
  #xml;
  #facts;
  #policy;
  #robot;
  #view;
  #walk;
  #panel;
  #plots;
  #controls;
  #record = null;
  /** What waits for the end of a picture: a robot is not replaced in the middle of a step. */
  #due = null;
  #rate = 1;
  #debt = 0;
  #fallenFor = 0;
  #kind = "flat";
  #walked = 0;
  #pace = { frames: 0, since: performance.now() };
  #last = performance.now();

  constructor({ mj, xml, facts, policy, robot, view }) {
    [this.#mj, this.#xml, this.#facts, this.#policy] = [mj, xml, facts, policy];
    [this.#robot, this.#view] = [robot, view];
    byId("robot").textContent = document.title = facts.robot.replace(/_/g, " ").toUpperCase();
    document.querySelector("header p").hidden = !facts.max_load.offered;
    this.#plots = new Plots(byId("plots"), facts);
    this.#panel = new Panel(texts, facts, {
      load: (kg) => this.#robot.setLoad(kg),
      boom: (angle) => this.#robot.turnBoom(angle),
      ground: (kind, size) => (this.#due = () => this.#changeGround(kind, size)),
      push: () => this.#push(),
      stand: () => (this.#due = () => this.#stand()),
      slow: (slow) => (this.#rate = slow ? SLOW : 1),
      theme: () => view.paint(),
      layout: () => view.resize(),
    });
    this.#controls = new Controls(facts.max_command, {
      Space: () => this.#push(),
      KeyR: () => (this.#due = () => this.#stand()),
      KeyM: () => this.#panel.toggleSlow(),
    });
    this.#controls.useStick(byId("stick"));
    view.onClick((away) => this.#push(away));
    this.#stand();
  }

  #stand() {
    this.#robot.setLoad(this.#panel.load);
    this.#robot.turnBoom(this.#panel.boom);
    this.#robot.stand();
    this.#walk = new Walk(this.#robot, this.#policy, this.#facts);
    this.#plots.clear();
    [this.#record, this.#fallenFor, this.#walked] = [null, 0, 0];
  }

  #changeGround(kind, size) {
    const ground = makeGround(kind, size);
    const old = this.#robot;
    this.#robot = new Robot(this.#mj, this.#xml, this.#facts, ground);
    old.dispose();
    this.#kind = kind;
    this.#view.showGround(ground);
    this.#stand();
  }

  #push(away = this.#view.away) {
    this.#robot.push(away.map((value) => value * PUSH), PUSH_SECONDS);
  }

  /** Let time pass up to now, and draw. */
  async frame(now) {
    const passed = (now - this.#last) / 1000;
    const seconds = Math.min(passed, LONGEST_FRAME);
    this.#last = now;
    this.#due?.();
    this.#due = null;
    const wanted = this.#controls.command;
    const own = this.#kind === "flat" ? STROLL : AHEAD;
    await this.#advance(seconds * this.#rate, this.#controls.touched ? wanted : own);
    this.#view.draw(this.#robot, this.#record, passed);
    this.#plots.draw(texts);
    this.#tell();
    requestAnimationFrame((next) => this.frame(next).catch(fail));
  }

  async #advance(seconds, command) {
    const begin = performance.now();
    this.#debt += seconds;
    while (this.#debt > 0) {
      const walk = this.#walk;
      const record = await walk.step(command);
      this.#debt -= walk.timeStep;
      if (record) this.#take(record);
      if (performance.now() - begin > 1000 * LONGEST_PHYSICS) this.#debt = 0;
    }
    if (this.#record?.fallen || this.#fallenFor) this.#fallenFor += seconds;
    if (this.#fallenFor > UP_AGAIN_AFTER) this.#stand();
  }

  #take(record) {
    if (this.#record) {
      const [x, y] = [0, 1].map((i) => record.position[i] - this.#record.position[i]);
      this.#walked += Math.hypot(x, y);
    }
    this.#record = record;
    this.#plots.add(record);
  }

  #tell() {
    const notice = byId("notice");
    const heavy = this.#panel.load > this.#facts.max_load.trained || this.#record?.beyondTraining;
    const key = this.#fallenFor ? "fell" : heavy ? "beyond" : this.#controls.touched ? "" : "hint";
    notice.hidden = !key;
    notice.classList.toggle("alert", key === "fell");
    if (key && notice.textContent !== texts.of(key)) notice.textContent = texts.of(key);
    this.#pace.frames += 1;
    const passed = performance.now() - this.#pace.since;
    if (passed < 500) return;
    const rate = Math.round((1000 * this.#pace.frames) / passed);
    this.#pace = { frames: 0, since: performance.now() };
    const walked = `${this.#walk.time.toFixed(0)} s · ${this.#walked.toFixed(1)} m`;
    byId("status").textContent = `${walked} · ${rate} fps`;
  }
}

load()
  .then((parts) => {
    const page = new Page(parts);
    byId("loading").classList.add("done");
    requestAnimationFrame((now) => page.frame(now).catch(fail));
  })
  .catch(fail);
