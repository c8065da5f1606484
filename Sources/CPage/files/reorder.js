// Drags a row of a list to another position, by mouse, pen or finger.

let dragged = null;
export const isDragging = () => dragged !== null;

export function draggable(item, grip, dropped) {
  grip.addEventListener("pointerdown", (start) => {
    if (start.button !== 0) return;
    start.preventDefault();
    dragged = item;
    item.classList.add("dragged");
    const next = item.nextElementSibling;
    let grabbed = start.clientY;
    const shift = (event) => { item.style.transform = `translateY(${event.clientY - grabbed}px)`; };

    const moved = (event) => {
      shift(event);
      // A row makes room once its middle is covered.
      const { top, bottom } = item.getBoundingClientRect();
      const middle = (row) => row.getBoundingClientRect().top + row.offsetHeight / 2;
      const before = item.previousElementSibling;
      const after = item.nextElementSibling;
      const height = (row) => row.offsetHeight + 8;
      if (before && top < middle(before)) {
        grabbed -= height(before);
        before.before(item);
      } else if (after && bottom > middle(after)) {
        grabbed += height(after);
        after.after(item);
      } else return;
      shift(event);
    };
    const ended = (event) => {
      window.removeEventListener("pointermove", moved);
      window.removeEventListener("pointerup", ended);
      window.removeEventListener("pointercancel", ended);
      item.classList.remove("dragged");
      item.style.transform = "";
      dragged = null;
      if (event.type === "pointerup" && item.nextElementSibling !== next) dropped(item.nextElementSibling?.dataset.id ?? null);
    };
    // On the window: pointer capture is lost when the row moves in the document.
    window.addEventListener("pointermove", moved);
    window.addEventListener("pointerup", ended);
    window.addEventListener("pointercancel", ended);
  });
}
