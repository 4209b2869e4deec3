// What the page of a viewer asks of browsers beyond viser: its name, its icon, and a gamepad.

/** Time between two looks at the gamepad, and until one that stays as it is is told again [ms]. */
const [LOOK, AGAIN] = [50, 250];

/** Name and icon of the page's tab. */
export function name(title, icon) {
  document.title = title;
  document.querySelector("link[rel=icon]")?.setAttribute("href", icon);
}

/** The row of viser's column that has a label, and the input in it; null where there is none. */
function findRow(label) {
  const text = [...document.querySelectorAll("label")].find((each) => each.textContent === label);
  for (let row = text?.parentElement; row; row = row.parentElement) {
    const input = row.querySelector("input");
    if (!input) continue;
    // With the frame around it, which has a margin.
    return { row: row.parentElement.childElementCount === 1 ? row.parentElement : row, input };
  }
  return null;
}

let follows = false;

/**
 * Type what a gamepad says into an input of the page, for as long as anybody touches it.
 * @param {string} label of the input, which nobody shall see
 * @param {() => number[]} read
 */
export function followGamepad(label, read) {
  // A browser that connects again is asked again.
  if (follows) return;
  follows = true;
  const type = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  let [moved, last, told, count] = [false, "", 0, 0];
  setInterval(() => {
    const found = findRow(label);
    if (!found) return;
    found.row.style.display = "none";
    const values = read();
    const moves = values.some((value) => value !== 0);
    // That it was let go is told, too.
    if (!moves && !moved) return;
    const text = values.map((value) => value.toFixed(2)).join(" ");
    const now = performance.now();
    if (text === last && now - told < AGAIN) return;
    [moved, last, told, count] = [moves, text, now, count + 1];
    // React hears of an input that changes, and only of one that changes.
    type.call(found.input, `${text} ${count}`);
    found.input.dispatchEvent(new Event("input", { bubbles: true }));
  }, LOOK);
}
