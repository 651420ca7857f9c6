// Tooltips and zoom. The page says everything without them.
"use strict";
(() => {
  const line = document.querySelector(".timeline");
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.onclick = () => {
      const text = document.getElementById(button.dataset.copy).textContent;
      navigator.clipboard.writeText(text).then(() => { button.textContent = "copied"; });
    };
  }
  if (!line) return;

  const span = Number(line.dataset.span);
  const record = JSON.parse(document.getElementById("record").textContent);
  const outcomes = ["ok", "fail", "info"];
  let from = 0, width = span;

  // The part of the run that is looked at: everything is placed by --t0 and --w.
  function look(start, length) {
    width = Math.min(span, Math.max(1, length));
    from = Math.min(span - width, Math.max(0, start));
    line.style.setProperty("--t0", from);
    line.style.setProperty("--w", width);
    for (const svg of line.querySelectorAll("svg")) {
      const height = svg.viewBox.baseVal.height;
      svg.setAttribute("viewBox", `${from} 0 ${width} ${height}`);
    }
    const power = 10 ** Math.floor(Math.log10(width / 12));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= width / 12);
    const digits = Math.max(0, Math.ceil(-Math.log10(step / 1000)));
    for (const ticks of line.querySelectorAll(".ticks")) {
      const words = ticks.closest(".row") !== null;
      ticks.replaceChildren();
      for (let at = Math.ceil(from / step) * step; at <= from + width * (words ? 0.97 : 1); at += step) {
        const tick = document.createElement(words ? "span" : "i");
        tick.className = words ? "tick" : "line";
        tick.style.setProperty("--a", at);
        if (words) tick.textContent = `${(at / 1000).toFixed(digits)} s`;
        ticks.append(tick);
      }
    }
  }

  const moves = {
    in: () => look(from + width / 4, width / 2),
    out: () => look(from - width / 2, width * 2),
    left: () => look(from - width / 3, width),
    right: () => look(from + width / 3, width),
    all: () => look(0, span),
  };
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.onclick = moves[button.dataset.zoom];
    button.closest("[hidden]")?.removeAttribute("hidden");
  }
  line.addEventListener("dblclick", moves.all);
  for (const button of document.querySelectorAll("[data-from]")) {
    button.hidden = false;
    button.onclick = () => {
      const [start, end] = [Number(button.dataset.from), Number(button.dataset.to)];
      look(start, end - start);
      document.getElementById("timeline").scrollIntoView({ behavior: "smooth" });
    };
  }

  // Where on the time axis a pointer is.
  const track = line.querySelector(".track");
  function timeAt(event) {
    const box = track.getBoundingClientRect();
    return from + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * width;
  }

  const brush = Object.assign(document.createElement("div"), { id: "brush", hidden: true });
  line.append(brush);
  let held = null;
  line.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType === "mouse" && !event.target.closest("a")) {
      held = { x: event.clientX, time: timeAt(event) };
    }
  });
  addEventListener("pointermove", (event) => {
    if (!held) return;
    const left = line.getBoundingClientRect().left;
    brush.hidden = Math.abs(event.clientX - held.x) < 4;
    brush.style.left = `${Math.min(event.clientX, held.x) - left}px`;
    brush.style.width = `${Math.abs(event.clientX - held.x)}px`;
  });
  addEventListener("pointerup", (event) => {
    if (held && !brush.hidden) {
      const time = timeAt(event);
      look(Math.min(time, held.time), Math.abs(time - held.time));
    }
    brush.hidden = true;
    held = null;
  });

  const tip = Object.assign(document.createElement("div"), { id: "tip", hidden: true });
  document.body.append(tip);
  const seconds = (ms) => `${(ms / 1000).toFixed(3)} s`;

  // The operation of a lane that is nearest to a time, if it is within five pixels.
  function operation(lane, time, slack) {
    let best = null, distance = slack;
    for (const told of record.lanes[lane] ?? []) {
      const away = Math.max(told[0] - time, time - told[0] - told[1], 0);
      if (away <= distance) { best = told; distance = away; }
    }
    return best;
  }
  function words(event) {
    const lane = event.target.closest?.("[data-lane]");
    const time = timeAt(event);
    if (lane) {
      const told = operation(lane.dataset.lane, time, width / track.clientWidth * 5);
      if (!told) return null;
      const [start, took, outcome, process, text, place] = told;
      return `${text}\n${outcomes[outcome]} · p${process}${place && ` · ${place}`}\n`
        + `${seconds(start)}, took ${took.toFixed(2)} ms`;
    }
    if (event.target.closest?.(".row.plot")) {
      const { step, counts, latencies } = record.series;
      const place = Math.min(counts.length - 1, Math.floor(time / step));
      const rate = counts[place].map((n, at) => `${Math.round(n * 1000 / step)} ${outcomes[at]}`);
      const waits = latencies[place];
      return `${seconds(place * step)}\n${rate.join(", ")} per second\n`
        + (waits ? `half within ${waits[0]}, 99 % within ${waits[1]}` : "no answer");
    }
    const titled = event.target.closest?.("[data-tip], [title]");
    if (!titled || titled.classList.contains("name")) return null;
    if (titled.title) {
      titled.dataset.tip = titled.title;
      titled.removeAttribute("title");
    }
    return titled.dataset.tip;
  }
  line.addEventListener("mousemove", (event) => {
    const text = held ? null : words(event);
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const below = event.clientY + 18 + tip.offsetHeight < innerHeight;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${below ? event.clientY + 18 : event.clientY - tip.offsetHeight - 10}px`;
  });
  line.addEventListener("mouseleave", () => { tip.hidden = true; });
})();
