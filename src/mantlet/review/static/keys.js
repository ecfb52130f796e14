// The keyboard: keys of the keymap become actions.

/** Calls `act` with the action of each key that is pressed, and `release` when one is let go that works while held. */
export function listen(keys, act, release) {
  const bound = new Map(keys.flatMap((key) => key.keys.map((name) => [name, key])));
  let held = ""; // by its place on the keyboard, which no other key pressed meanwhile changes

  document.addEventListener("keydown", (event) => {
    const key = pressed(event, bound);
    if (!key) return;
    event.preventDefault();
    if (event.repeat && !key.repeats) return;
    if (key.held) held = event.code;
    act(key.action);
  });
  document.addEventListener("keyup", (event) => {
    if (!held || event.code !== held) return;
    event.preventDefault(); // or it would press the button that has the focus
    held = "";
    release();
  });
}

/** A key as the keymap names it. The number row counts by its place, too: on some layouts its digits need Shift. */
function pressed(event, bound) {
  if (event.altKey) return undefined;
  const chord = event.ctrlKey ? "Control+" : event.metaKey ? "Meta+" : "";
  const name = chord + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  const digit = !chord && !event.shiftKey && /^Digit(\d)$/.exec(event.code);
  return bound.get(name) ?? (digit ? bound.get(digit[1]) : undefined);
}
