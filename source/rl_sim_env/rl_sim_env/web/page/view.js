// The picture: camera, light, robot, ground, markers.

import * as THREE from "three";
import { OrbitControls } from "./vendor/OrbitControls.js";
import { GroundView } from "./ground.js";
import { Markers } from "./markers.js";
import { makeBodies, place } from "./shapes.js";

/** Where light comes from: behind the start, so that stairs do not climb into their own shadow. */
const SUN = new THREE.Vector3(-1.5, 1.1, 3.4);
const FIELD_OF_VIEW = 38;
const CLICK_PIXELS = 6;
/** Pictures that come more slowly than this are made cheaper; judged once a second [s]. */
const SLOW_FRAME = 1 / 40;
const LEAST_RATIO = 0.4;
const SOFTWARE_RATIO = 0.6;

THREE.Object3D.DEFAULT_UP.set(0, 0, 1);

/** With ?full in the address no picture is made cheaper, however long it takes. */
const IS_FULL = new URLSearchParams(location.search).has("full");

/** Whether the processor makes the pictures: shadows and smooth edges cost it more than all. */
function isSoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

/** Draws one robot; the world is MuJoCo's: metres, z up. */
export class View {
  #renderer;
  #scene = new THREE.Scene();
  #camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 0.05, 60);
  #orbit;
  #sun = new THREE.DirectionalLight(0xffffff, 2.4);
  #sky = new THREE.HemisphereLight(0xffffff, 0xffffff, 1.5);
  #ground;
  #markers;
  #bodies;
  #robot = new THREE.Group();
  #parts;
  #target = new THREE.Vector3();
  #ratio;
  #judged = { frames: 0, seconds: 0 };

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {object} facts scene.json
   * @param {THREE.BufferGeometry[]} meshes
   * @throws {Error} the browser has no WebGL
   */
  constructor(canvas, facts, meshes) {
    const software = !IS_FULL && isSoftware();
    document.documentElement.classList.toggle("software", software);
    this.#renderer = new THREE.WebGLRenderer({ canvas, antialias: !software });
    this.#ratio = software ? SOFTWARE_RATIO : Math.min(devicePixelRatio, 2);
    this.#renderer.shadowMap.enabled = !software;
    this.#ground = new GroundView(software);
    this.#renderer.toneMapping = THREE.NoToneMapping;
    this.#parts = facts.parts;
    this.#bodies = makeBodies(facts.visuals, meshes, software);
    this.#markers = new Markers(facts.boom !== null);
    this.#robot.add(...this.#bodies.values());
    this.#sun.castShadow = true;
    this.#sun.shadow.mapSize.set(1024, 1024);
    Object.assign(this.#sun.shadow.camera, { left: -2, right: 2, top: 2, bottom: -2 });
    this.#sun.shadow.normalBias = 0.01;
    this.#scene.add(this.#sky, this.#sun, this.#sun.target);
    this.#scene.add(this.#robot, this.#ground, this.#markers);
    this.#orbit = new OrbitControls(this.#camera, canvas);
    Object.assign(this.#orbit, {
      enablePan: false,
      enableDamping: true,
      minDistance: 0.8,
      maxDistance: 12,
      maxPolarAngle: 0.49 * Math.PI,
    });
    this.#camera.position.set(-1.75, -2.15, 1.15);
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  /** Take the colours of the style sheet. */
  paint() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    this.#scene.background = new THREE.Color(color("--sky"));
    this.#scene.fog = new THREE.Fog(color("--sky"), 7, 24);
    this.#ground.paint(color);
    this.#markers.paint(color);
  }

  /** @param {import("./terrain.js").Ground} ground */
  showGround(ground) {
    this.#ground.show(ground);
  }

  /** Fit the picture to the canvas, and the robot into what the panel leaves free. */
  resize() {
    const canvas = this.#renderer.domElement;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    this.#renderer.setPixelRatio(this.#ratio);
    this.#renderer.setSize(width, height, false);
    const panel = document.getElementById("panel").getBoundingClientRect();
    const isSheet = panel.width > 0.9 * width;
    const [dx, dy] = isSheet ? [0, height - panel.top] : [width - panel.left, 0];
    this.#camera.aspect = width / height;
    this.#camera.fov = isSheet ? 1.6 * FIELD_OF_VIEW : FIELD_OF_VIEW;
    this.#camera.setViewOffset(width, height, dx / 2, dy / 2, width, height);
    this.#camera.updateProjectionMatrix();
  }

  /**
   * Call back where somebody clicks the robot.
   * @param {(away: number[]) => void} pushed takes the horizontal direction away from the eye
   */
  onClick(pushed) {
    const canvas = this.#renderer.domElement;
    let down = null;
    canvas.addEventListener("pointerdown", (event) => (down = [event.clientX, event.clientY]));
    canvas.addEventListener("pointerup", (event) => {
      const moved = down && Math.hypot(event.clientX - down[0], event.clientY - down[1]);
      if (down && moved < CLICK_PIXELS && this.#hits(event)) pushed(this.away);
      down = null;
    });
  }

  /** Horizontal direction from the eye to the robot. */
  get away() {
    const { x, y } = this.#target.clone().sub(this.#camera.position);
    const length = Math.hypot(x, y) || 1;
    return [x / length, y / length, 0];
  }

  #hits({ clientX, clientY }) {
    const box = this.#renderer.domElement.getBoundingClientRect();
    const at = new THREE.Vector2(
      (2 * (clientX - box.left)) / box.width - 1,
      1 - (2 * (clientY - box.top)) / box.height,
    );
    const ray = new THREE.Raycaster();
    ray.setFromCamera(at, this.#camera);
    return ray.intersectObject(this.#robot).length > 0;
  }

  /**
   * Draw the robot as it is now.
   * @param {import("./robot.js").Robot} robot
   * @param {object | null} record of the last control period, from Walk.step
   * @param {number} seconds since the last picture [s]
   */
  draw(robot, record, seconds) {
    for (const [name, body] of this.#bodies) {
      const { pos, quat } = robot.poseOf(name);
      place(body, pos, quat);
    }
    const base = robot.poseOf(this.#parts.base_body);
    const carrier = this.#parts.load_body && robot.poseOf(this.#parts.load_body);
    if (record) this.#markers.update(base, carrier, record, this.#camera.quaternion);
    this.#follow(base.pos, seconds);
    this.#renderer.render(this.#scene, this.#camera);
    this.#judge(seconds);
  }

  /** Eye and light go where the robot goes, a little behind. */
  #follow([x, y, z], seconds) {
    const goal = new THREE.Vector3(x, y, z);
    const far = goal.distanceTo(this.#target) > 1;
    const step = goal.sub(this.#target).multiplyScalar(far ? 1 : 1 - Math.exp(-8 * seconds));
    this.#target.add(step);
    this.#camera.position.add(step);
    this.#orbit.target.copy(this.#target);
    this.#orbit.update(seconds);
    this.#ground.follow(this.#target.x, this.#target.y);
    this.#sun.position.copy(this.#target).add(SUN);
    this.#sun.target.position.copy(this.#target);
  }

  /** Where pictures take too long, draw fewer pixels, and then no shadows. */
  #judge(seconds) {
    this.#judged.frames += 1;
    this.#judged.seconds += seconds;
    if (this.#judged.seconds < 1) return;
    const slow = this.#judged.seconds / this.#judged.frames > SLOW_FRAME;
    this.#judged = { frames: 0, seconds: 0 };
    if (!slow || IS_FULL) return;
    if (this.#ratio > LEAST_RATIO) {
      this.#ratio = Math.max(LEAST_RATIO, 0.7 * this.#ratio);
      this.resize();
    } else if (this.#sun.castShadow) {
      this.#sun.castShadow = false;
    }
  }
}
