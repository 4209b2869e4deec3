// Estimate against truth over the last seconds, as small plots of lines.

const SECONDS = 8;

/** What is plotted: columns of an estimate, factor to the unit that is shown, least range. */
const PLANE = [["ahead", 0], ["left", 1]];
const PLOTS = [
  { name: "mass", unit: "kg", factor: 1, decimals: 1, columns: [["", 0]] },
  { name: "com", unit: "cm", factor: 100, decimals: 1, columns: PLANE, range: [-8, 8] },
  { name: "velocity", unit: "m/s", factor: 1, decimals: 2, columns: PLANE, range: [-1, 1] },
];

const COLORS = ["--first", "--second"];

/** One plot with its heading. */
class Plot {
  #cfg;
  #canvas;
  #output;
  #title;
  #records = [];
  #reach;

  constructor(cfg, parent, facts) {
    const range = cfg.name === "mass" ? [0, facts.max_load.offered] : cfg.range;
    this.#reach = facts.deviations_95;
    this.#cfg = { ...cfg, range };
    const root = document.createElement("div");
    root.className = "plot";
    root.dataset.plot = cfg.name;
    const heading = document.createElement("div");
    this.#title = document.createElement("span");
    this.#output = document.createElement("output");
    this.#canvas = document.createElement("canvas");
    this.#canvas.setAttribute("role", "img");
    heading.append(this.#title, this.#output);
    root.append(heading, this.#canvas);
    parent.append(root);
  }

  add(record) {
    const { name } = this.#cfg;
    const { time, truth, estimates, std } = record;
    this.#records.push({ time, truth: truth[name], estimate: estimates[name], std: std?.[name] });
    while (this.#records[0].time < time - SECONDS) this.#records.shift();
  }

  clear() {
    this.#records = [];
  }

  /** Numbers of now, in words and figures. */
  tell(texts) {
    const { name, unit, factor, decimals, columns } = this.#cfg;
    this.#title.textContent = texts.of(name);
    this.#canvas.setAttribute("aria-label", `${texts.of(name)}, ${unit}`);
    const last = this.#records.at(-1);
    if (!last) return;
    const shown = (values, column) => {
      const value = (factor * values[column]).toFixed(decimals);
      return Number(value) === 0 ? (0).toFixed(decimals) : value;
    };
    const parts = columns.flatMap(([word, column], index) => {
      const felt = document.createElement("b");
      felt.style.color = `var(${COLORS[index]})`;
      felt.textContent = last.estimate ? shown(last.estimate, column) : texts.of("none");
      if (word) felt.title = texts.of(word);
      const real = document.createElement("i");
      real.textContent = ` ${shown(last.truth, column)}`;
      return [felt, real];
    });
    this.#output.replaceChildren(...parts, ` ${unit}`);
  }

  draw(style) {
    const canvas = this.#canvas;
    const ratio = Math.min(devicePixelRatio, 2);
    const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
    if (!width) return;
    if (canvas.width !== Math.round(width)) [canvas.width, canvas.height] = [width, height];
    // Drawn by the processor: that is cheap, and to hand it to the graphics is not everywhere.
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.clearRect(0, 0, width, height);
    const last = this.#records.at(-1);
    if (!last) return;
    const { factor, columns, range } = this.#cfg;
    const values = this.#records.flatMap((record) =>
      columns.flatMap(([, c]) => [record.truth[c], record.estimate?.[c] ?? record.truth[c]]),
    );
    const low = Math.min(range[0], ...values.map((value) => value * factor));
    const high = Math.max(range[1], ...values.map((value) => value * factor));
    const x = (time) => width * (1 - (last.time - time) / SECONDS);
    const share = (value) => (value * factor - low) / (high - low);
    const y = (value) => (height - 4 * ratio) * (1 - share(value)) + 2 * ratio;
    pen.strokeStyle = style.getPropertyValue("--line");
    pen.lineWidth = ratio;
    pen.beginPath();
    pen.moveTo(0, y(0));
    pen.lineTo(width, y(0));
    pen.stroke();
    const line = (of, dashes) => {
      pen.setLineDash(dashes.map((length) => length * ratio));
      pen.beginPath();
      for (const record of this.#records) pen.lineTo(x(record.time), y(of(record)));
      pen.stroke();
    };
    columns.forEach(([, column], index) => {
      const color = style.getPropertyValue(COLORS[index]);
      if (last.estimate) {
        pen.fillStyle = pen.strokeStyle = color;
        if (last.std) this.#band(pen, column, x, y);
        pen.lineWidth = 1.8 * ratio;
        line((record) => record.estimate[column], []);
      }
      pen.strokeStyle = columns.length > 1 ? color : style.getPropertyValue("--ink");
      pen.lineWidth = 1.2 * ratio;
      line((record) => record.truth[column], [4, 3]);
    });
    pen.setLineDash([]);
  }

  /** Where 95 % of the truths shall lie. */
  #band(pen, column, x, y) {
    const edge = ({ estimate, std }, side) => estimate[column] + side * this.#reach * std[column];
    pen.globalAlpha = 0.15;
    pen.beginPath();
    for (const record of this.#records) pen.lineTo(x(record.time), y(edge(record, 1)));
    const back = [...this.#records].reverse();
    for (const record of back) pen.lineTo(x(record.time), y(edge(record, -1)));
    pen.fill();
    pen.globalAlpha = 1;
  }
}

/** All plots. */
export class Plots {
  #plots;
  #frame = 0;

  /**
   * @param {HTMLElement} parent
   * @param {object} facts scene.json
   */
  constructor(parent, facts) {
    this.#plots = PLOTS.map((cfg) => new Plot(cfg, parent, facts));
  }

  /** @param {object} record of a control period, from Walk.step */
  add(record) {
    for (const plot of this.#plots) plot.add(record);
  }

  /** Begin anew. */
  clear() {
    for (const plot of this.#plots) plot.clear();
  }

  /** Draw one plot; the next call draws the next, so that a frame never waits for all. */
  draw(texts) {
    const plot = this.#plots[this.#frame++ % this.#plots.length];
    plot.draw(getComputedStyle(document.documentElement));
    if (this.#frame % (3 * this.#plots.length) < this.#plots.length) plot.tell(texts);
  }
}
