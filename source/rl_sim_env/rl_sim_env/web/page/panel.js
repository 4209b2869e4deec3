// The panel: sliders, buttons, choice of ground; and what the visitor chose before.

import { KINDS } from "./terrain.js";

const byId = (id) => document.getElementById(id);

/** Remember a choice; browsers that forbid it forget. */
function remember(name, value) {
  try {
    if (value !== undefined) localStorage.setItem(`rl_sim_env.${name}`, value);
    return localStorage.getItem(`rl_sim_env.${name}`);
  } catch {
    return value ?? null;
  }
}

/** Language that was chosen, or the browser's. */
export const firstLanguage = () => remember("language") ?? navigator.language;

/** Settings of the visitor, told to whom they concern. */
export class Panel {
  #texts;
  #facts;
  #on;
  #kind = "flat";
  #sizes = Object.fromEntries(Object.entries(KINDS).map(([kind, of]) => [kind, of?.usual]));

  /**
   * @param {import("./texts.js").Texts} texts
   * @param {object} facts scene.json
   * @param {object} on what to call: load(kg), boom(rad), ground(kind, size), push(), stand(),
   *   slow(boolean), theme(), layout()
   */
  constructor(texts, facts, on) {
    this.#texts = texts;
    this.#facts = facts;
    this.#on = on;
    this.#makeSliders();
    this.#makeGrounds();
    this.#makeButtons();
    this.#makeTheme();
    this.tell();
  }

  /** Load that is chosen [kg], and direction of the boom [rad]. */
  get load() {
    return this.#facts.max_load.offered ? byId("load").valueAsNumber : 0;
  }

  get boom() {
    return (byId("boom").valueAsNumber * Math.PI) / 180;
  }

  #makeSliders() {
    const { trained, offered } = this.#facts.max_load;
    document.querySelector('[data-part="load"]').hidden = !offered;
    document.querySelector('[data-part="boom"]').hidden = !this.#facts.boom;
    const load = byId("load");
    load.max = offered;
    load.value = trained / 2;
    byId("boom").value = this.#facts.boom ? 35 : 0;
    for (const [id, tell] of [["load", () => this.load], ["boom", () => this.boom]]) {
      byId(id).addEventListener("input", () => {
        this.tell();
        this.#on[id](tell());
      });
    }
    byId("size").addEventListener("input", () => {
      this.#sizes[this.#kind] = byId("size").valueAsNumber;
      this.tell();
    });
    byId("size").addEventListener("change", () => this.#changeGround());
  }

  #makeGrounds() {
    for (const kind of Object.keys(KINDS)) {
      const label = document.createElement("label");
      const input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "ground", value: kind });
      input.checked = kind === this.#kind;
      const word = document.createElement("span");
      word.dataset.text = kind;
      label.append(input, word);
      byId("grounds").append(label);
      input.addEventListener("change", () => {
        this.#kind = kind;
        this.#changeGround();
        this.tell();
      });
    }
    this.#texts.show();
  }

  #changeGround() {
    const size = KINDS[this.#kind] ? this.#sizes[this.#kind] * KINDS[this.#kind].si : 0;
    this.#on.ground(this.#kind, size);
  }

  #makeButtons() {
    byId("push").addEventListener("click", () => this.#on.push());
    byId("stand").addEventListener("click", () => this.#on.stand());
    byId("slow").addEventListener("click", () => this.toggleSlow());
    byId("language").addEventListener("click", () => {
      this.#texts.toggle();
      remember("language", this.#texts.language);
      this.tell();
    });
    byId("fold").addEventListener("click", () => {
      const open = byId("panel").classList.toggle("open");
      byId("fold").setAttribute("aria-expanded", String(open));
      this.#layout();
    });
    new ResizeObserver(() => this.#layout()).observe(byId("panel"));
  }

  #layout() {
    const { height } = byId("panel").getBoundingClientRect();
    document.documentElement.style.setProperty("--sheet", `${height}px`);
    this.#on.layout();
  }

  /** Begin or end slow motion. */
  toggleSlow() {
    const slow = byId("slow").getAttribute("aria-pressed") !== "true";
    byId("slow").setAttribute("aria-pressed", String(slow));
    this.#on.slow(slow);
  }

  #makeTheme() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const set = (theme) => {
      document.documentElement.dataset.theme = theme;
      this.#on.theme();
    };
    const usual = () => (system.matches ? "dark" : "light");
    set(remember("theme") ?? usual());
    system.addEventListener("change", () => remember("theme") ?? set(usual()));
    byId("theme").addEventListener("click", () => {
      const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      remember("theme", other);
      set(other);
    });
  }

  /** Write what is chosen. */
  tell() {
    byId("load-value").textContent = `${this.load.toFixed(1)} kg`;
    byId("boom-value").textContent = `${byId("boom").value}°`;
    const of = KINDS[this.#kind];
    byId("size-field").hidden = !of;
    if (!of) return;
    const size = byId("size");
    Object.assign(size, { min: of.least, max: of.most, value: this.#sizes[this.#kind] });
    byId("size-label").textContent = this.#texts.of(`size_${this.#kind}`);
    byId("size-value").textContent = `${size.value} ${of.unit}`.replace(" °", "°");
  }
}
