// Words of the page, in English and Chinese.

const EN = {
  claim: "It walks blind, and feels what it carries.",
  walk: "walk",
  turn: "turn",
  sideways: "sideways",
  space: "space",
  view: "The robot. Drag to look around, click the robot to push it.",
  stick: "Stick: up and down to walk, left and right to turn",
  panel: "Settings and estimates",
  fold: "More",
  load: "Load",
  boom: "Direction of the boom",
  ground: "Ground",
  flat: "Flat",
  slope: "Slopes",
  rubble: "Rough ground",
  stairs: "Stairs",
  blocks: "Discrete obstacles",
  size_slope: "Steepness",
  size_rubble: "Roughness",
  size_stairs: "Height of a step",
  size_blocks: "Greatest height",
  mass: "Load it feels",
  com: "Centre of mass",
  velocity: "Velocity",
  ahead: "ahead",
  left: "left",
  estimated: "felt",
  true: "true",
  none: "not estimated",
  push: "Push",
  stand: "Start again",
  slow: "Slow motion",
  language: "中文",
  theme: "Light or dark",
  loading: "Waking the robot",
  failed: "The robot does not wake",
  fell: "It fell. It stands up again in a moment.",
  beyond: "Heavier than in training",
  hint: "It walks by itself until you drive.",
};

const ZH = {
  claim: "它看不见路，却感得到所载之重。",
  walk: "前后",
  turn: "转向",
  sideways: "横移",
  space: "空格",
  view: "机器人。拖动可环视，点击机器人可推它。",
  stick: "摇杆：上下行走，左右转向",
  panel: "设置与估计",
  fold: "更多",
  load: "负载",
  boom: "吊臂方向",
  ground: "地形",
  flat: "平地",
  slope: "斜坡",
  rubble: "粗糙地面",
  stairs: "楼梯",
  blocks: "障碍",
  size_slope: "坡度",
  size_rubble: "起伏",
  size_stairs: "每级高度",
  size_blocks: "最大高度",
  mass: "感到的负载",
  com: "质心",
  velocity: "速度",
  ahead: "前",
  left: "左",
  estimated: "估计",
  true: "真值",
  none: "不估计",
  push: "推一下",
  stand: "重新开始",
  slow: "慢动作",
  language: "English",
  theme: "浅色或深色",
  loading: "正在唤醒机器人",
  failed: "机器人未能唤醒",
  fell: "它摔倒了，马上重新站起。",
  beyond: "超出训练时的负载",
  hint: "在你操控之前，它自己走。",
};

const LANGUAGES = { en: EN, zh: ZH };

/** Words of the language that is chosen, put wherever the page asks for them. */
export class Texts {
  constructor(language) {
    this.language = language.startsWith("zh") ? "zh" : "en";
  }

  /** @param {keyof typeof EN} key */
  of(key) {
    return LANGUAGES[this.language][key];
  }

  /** Change to the other language. */
  toggle() {
    this.language = this.language === "en" ? "zh" : "en";
    this.show();
  }

  /** Write all words: what has `data-text` shows one, what has `data-label` is called by one. */
  show() {
    document.documentElement.lang = this.language === "zh" ? "zh-CN" : "en";
    for (const element of document.querySelectorAll("[data-text]")) {
      element.textContent = this.of(element.dataset.text);
    }
    for (const element of document.querySelectorAll("[data-label]")) {
      element.setAttribute("aria-label", this.of(element.dataset.label));
    }
    const button = document.getElementById("language");
    button.textContent = this.of("language");
    button.lang = this.language === "zh" ? "en" : "zh-CN";
  }
}
