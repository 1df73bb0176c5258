// The status page.  What it shows comes from "events" (doc/page.rst); the proxy has sent the first
// of it as plain HTML.  Texts of others go into the page as text, by textContent and by nothing else.
"use strict";

const FIRST = 50;                // rows of a table, until more are asked for
const PIECES = 144, STEP = 600;  // of the last day: a piece, in seconds
const MARKS = ["\u25cf", "\u25b2", "\u2716"];
const URGENT = new Set(["away", "policy", "stalled", "failing"]);
const WORDS = {limit: "at a limit"};
const SVG = "http://www.w3.org/2000/svg";

const element = (id) => document.getElementById(id);
const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const make = (name, className, ...children) => {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children);
  return node;
};
const drawn = (name, attributes) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};

// -- how values are shown, as rvgahp/attention.py and rvgahp/pagetext.py do it ------------------

const number = (value) => value.toLocaleString("en-US");
const two = (value) => String(value).padStart(2, "0");
const clock = (time) => { const d = new Date(time * 1000); return `${two(d.getHours())}:${two(d.getMinutes())}`; };

function span(seconds) {
  seconds = Math.max(0, Math.trunc(seconds));
  if (seconds < 90) return `${seconds} s`;
  let minutes = Math.floor(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  minutes %= 60;
  if (hours < 48) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

// One place behind the point, and a half goes to the even side, as in Python.
function tenths(value) {
  const whole = Math.floor(value * 10);
  const isHalf = value * 10 - whole === 0.5;
  return ((isHalf ? whole + (whole % 2) : Math.round(value * 10)) / 10).toFixed(1);
}

function size(value) {
  if (value < 1000) return `${value} B`;
  for (const unit of ["KiB", "MiB", "GiB"]) {
    value /= 1024;
    if (value < 1000) return `${tenths(value)} ${unit}`;
  }
  return `${tenths(value / 1024)} TiB`;
}

const FORMS = {
  text: String,
  count: number,
  bytes: size,
  age: (value, now) => span(now - value),
  ago: (value, now) => `${span(now - value)} ago`,
  left: (value, now) => (value > now ? `${span(value - now)} left` : "has ended"),
  lived: (value) => (value < 10 ? `${tenths(value)} s` : span(value)),
  ping: (value) => `${Math.round(value * 1000)} ms`,
  clock,
  state: (value, now, row) =>
    row.stalledSince == null ? value : `${value} ${span(now - row.stalledSince)}`,
  used: (value, now, row) => `${row.used} of ${row.most}`,
};
const AGING = new Set([FORMS.age, FORMS.ago, FORMS.left, FORMS.state]);

// -- tables: rows have keys, and only what is otherwise is touched ------------------------------

const byName = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const worst = (a, b) => b.level - a.level;
const ORDERS = {
  sites: (a, b) => worst(a, b) || byName(a.key, b.key),
  sessions: (a, b) => worst(a, b) || (b.since ?? 0) - (a.since ?? 0) || byName(a.key, b.key),
  ends: (a, b) => b.when - a.when || byName(a.key, b.key),
  limits: (a, b) => worst(a, b) || byName(a.limit, b.limit) || b.used - a.used || byName(a.key, b.key),
  day: (a, b) => b.time - a.time,
};

class Table {
  constructor(name, {isShort = false, isSearched = false} = {}) {
    this.name = name;
    this.rows = new Map();
    this.most = isShort ? FIRST : Infinity;
    this.isSearched = isSearched;
    this.table = element(name);
    this.body = this.table.tBodies[0];
    this.columns = [...this.table.tHead.rows[0].cells].map((cell, at) => (
      {at, field: cell.dataset.field, form: FORMS[cell.dataset.form], className: cell.className}));
    this.aging = this.columns.filter((column) => AGING.has(column.form));
    this.shown = new Map();  // what stands in the page, by key
    for (const node of this.body.rows) this.shown.set(node.dataset.key, {node, row: null});
    this.more = element(`${name}-more`);
    if (this.more) this.more.addEventListener("click", () => this.toggle());
  }

  toggle() {
    this.most = this.most === FIRST ? Infinity : FIRST;
    this.show();
  }

  take(rows) {
    this.rows = new Map();
    this.change({put: rows, drop: []});
  }

  change({put, drop}) {
    for (const key of drop) this.rows.delete(key);
    for (const [key, row] of Object.entries(put)) {
      row.key = key;
      if (this.isSearched) row.words = this.words(row);
      this.rows.set(key, row);
    }
    this.isSorted = false;
    this.show();
  }

  words(row) {
    return Object.values(row).filter((one) => typeof one === "string").join(" ").toLowerCase();
  }

  show() {
    if (!this.isSorted) this.order = [...this.rows.values()].sort(ORDERS[this.name]);
    this.isSorted = true;
    const wanted = this.isSearched ? element("filter").value.trim().toLowerCase() : "";
    const found = wanted ? this.order.filter((row) => row.words.includes(wanted)) : this.order;
    this.place(found.slice(0, this.most));
    this.tally(found.length);
  }

  // Bring the page's rows to these, in this order.
  place(rows) {
    const keys = new Set(rows.map((row) => row.key));
    for (const [key, one] of this.shown) {
      if (keys.has(key)) continue;
      one.node.remove();
      this.shown.delete(key);
    }
    // What has moved is taken out first, so that the others stay where they are.
    for (const row of rows) {
      const one = this.shown.get(row.key);
      if (one?.row && one.row !== row && ORDERS[this.name](one.row, row)) one.node.remove();
    }
    const now = clockNow();
    let next = this.body.firstElementChild;
    for (const row of rows) {
      let one = this.shown.get(row.key);
      if (!one) this.shown.set(row.key, one = {node: this.made(row), row: null});
      if (one.row !== row) this.fill(one, row, now);
      if (one.node === next) next = next.nextElementSibling;
      else this.body.insertBefore(one.node, next);
    }
  }

  made(row) {
    const node = make("tr");
    node.dataset.key = row.key;
    for (const {className} of this.columns) node.append(make("td", className));
    return node;
  }

  fill(one, row, now) {
    one.row = row;
    one.node.className = `level${row.level ?? 0}`;
    for (const column of this.columns) this.fillCell(one.node.cells[column.at], column, row, now);
  }

  fillCell(cell, column, row, now) {
    const text = this.text(column, row, now);
    if (column.at !== 0 || row.level === undefined) return setText(cell, text);
    if (!cell.firstElementChild) cell.replaceChildren(mark(row.level), "\u00a0");
    setText(cell.firstElementChild, MARKS[row.level]);
    if (cell.lastChild.data !== `\u00a0${text}`) cell.lastChild.data = `\u00a0${text}`;
  }

  text({field, form}, row, now) {
    const value = row[field];
    return value == null || value === "" ? "-" : form(value, now, row);
  }

  // Time goes on.
  age() {
    const now = clockNow();
    for (const {node, row} of this.shown.values()) {
      if (row) for (const column of this.aging) this.fillCell(node.cells[column.at], column, row, now);
    }
  }

  tally(found) {
    if (!this.more) return;
    const all = this.rows.size;
    const isMore = found > FIRST;
    this.more.hidden = !isMore;
    setText(this.more, this.most === FIRST ? `Show all ${number(found)}` : `Show the first ${FIRST}`);
    const shown = Math.min(found, this.most);
    const counted = shown === all ? `${number(all)}` : `${number(shown)} of ${number(all)}`;
    const extra = this.summary ? this.summary() : "";
    setText(element(`${this.name}-tally`), all ? counted + extra : "none");
  }
}

const mark = (level) => {
  const node = make("i", "", MARKS[level]);
  node.setAttribute("aria-hidden", "true");
  return node;
};

// -- what needs attention -----------------------------------------------------------------------

function concern(kind, text) {
  const level = URGENT.has(kind) ? 2 : 1;
  const word = WORDS[kind] ?? kind;
  if (typeof text === "number") return make("li", `level${level}`, mark(level), ` ${number(text)} ${word}`);
  return make("li", `level${level}`, make("b", "", mark(level), ` ${word}`), " ", make("span", "", text));
}

// Lines that are the same stay, so that a text that somebody has marked stays marked.
function replaceLines(list, lines) {
  lines.forEach((line, at) => {
    const old = list.children[at];
    if (!old) list.append(line);
    else if (old.textContent !== line.textContent || old.className !== line.className) old.replaceWith(line);
  });
  while (list.children.length > lines.length) list.lastElementChild.remove();
}

let announced = null;

function showAttention({counts, said}) {
  const kinds = Object.entries(counts);
  replaceLines(element("said"), said.map(([kind, sentence]) => concern(kind, sentence)));
  const all = kinds.reduce((sum, [, count]) => sum + count, 0);
  element("well").hidden = all > 0;
  const isMore = all > said.length;
  replaceLines(element("counts"), isMore ? kinds.map(([kind, count]) => concern(kind, count)) : []);
  setText(element("more"), isMore ? `and ${number(all - said.length)} more, in the tables` : "");
  // A reader of the screen is told when it gets worse or better, not each second.
  const heard = kinds.map(([kind, count]) => `${count} ${WORDS[kind] ?? kind}`).join(", ");
  if (announced !== null && announced !== heard) setText(element("news"), heard || "Nothing is known to be wrong.");
  announced = heard;
  return all;
}

// -- the plots ----------------------------------------------------------------------------------

class Plot {
  // Above the line is what "above" counts, below it what "below" does.
  constructor({title, above, below, isWrong, unit, words}) {
    Object.assign(this, {title, above, below, unit, words});
    this.sum = make("span");
    this.peak = make("span");
    this.svg = drawn("svg", {viewBox: `0 0 ${PIECES} 100`, preserveAspectRatio: "none", role: "img", tabindex: "0"});
    this.unknown = this.svg.appendChild(drawn("rect", {class: "unknown", x: 0, y: 0, width: 0, height: 100}));
    this.grid = this.svg.appendChild(drawn("path", {class: "hour", d: ""}));
    this.high = this.svg.appendChild(drawn("path", {class: isWrong && !below ? "bar wrong" : "bar", d: ""}));
    this.low = this.svg.appendChild(drawn("path", {class: isWrong ? "bar wrong" : "bar second", d: ""}));
    this.cursor = this.svg.appendChild(drawn("path", {class: "cursor", d: ""}));
    this.hours = make("div", "hours");
    this.hours.setAttribute("aria-hidden", "true");
    element("plots").append(make("figure", "", make("figcaption", "", make("b", "", title), this.sum, this.peak), this.svg, this.hours));
    this.at = null;
    this.svg.addEventListener("pointermove", (event) => {
      const box = this.svg.getBoundingClientRect();
      this.point(Math.floor((event.clientX - box.left) / box.width * PIECES));
    });
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("blur", () => this.point(null));
    this.svg.addEventListener("keydown", (event) => {
      const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (!step) return;
      event.preventDefault();
      this.point((this.at ?? PIECES) + step);
    });
  }

  show(pieces, end, since) {
    this.pieces = pieces;
    this.end = end;
    const values = (name) => [...pieces.values()].map((piece) => piece[name]);
    const top = Math.max(0, ...values(this.above), ...(this.below ? values(this.below) : []));
    const most = Math.max(1, top);
    const ground = this.below ? 50 : 100;
    this.high.setAttribute("d", this.bars(this.above, -(ground - 2) / most, ground));
    this.low.setAttribute("d", this.below ? this.bars(this.below, (ground - 2) / most, ground) : "");
    // Every six hours, and the line from which bars begin.
    const first = end - PIECES * STEP;
    const marks = [`M0 ${ground}h${PIECES}`];
    for (let x = 36; x < PIECES; x += 36) marks.push(`M${x} 0v100`);
    this.grid.setAttribute("d", marks.join(""));
    const known = Math.min(PIECES, Math.max(0, (since - first) / STEP));
    this.unknown.setAttribute("width", String(Math.floor(known)));
    replaceLines(this.hours, [0, 36, 72, 108, 144].map((x) => make("span", "", x === 144 ? "now" : clock(first + x * STEP))));
    const total = (name) => values(name).reduce((sum, value) => sum + value, 0);
    const totals = this.words(this.unit(total(this.above)), this.below && this.unit(total(this.below)));
    this.totals = totals;
    setText(this.peak, `most in 10 min: ${this.unit(top)}`);
    this.svg.setAttribute("aria-label", `${this.title}: ${this.totals}; arrow keys read single values`);
    this.point(this.at);
  }

  bars(name, scale, ground) {
    const first = this.end - PIECES * STEP;
    let path = "";
    for (const [time, piece] of this.pieces) {
      const x = (time - first) / STEP;
      const value = piece[name];
      // One of a million is to be seen, too.
      const height = value * scale;
      const seen = Math.sign(height) * Math.max(Math.abs(height), 1.5);
      if (value && x >= 0) path += `M${x} ${ground}h0.85v${seen.toFixed(2)}h-0.85z`;
    }
    return path;
  }

  point(at) {
    this.at = at === null ? null : Math.min(PIECES - 1, Math.max(0, at));
    this.cursor.setAttribute("d", this.at === null ? "" : `M${this.at + 0.5} 0v100`);
    if (this.at === null || !this.pieces) return setText(this.sum, this.totals ?? "");
    const time = this.end - (PIECES - this.at) * STEP;
    const piece = this.pieces.get(time);
    const said = piece
      ? this.words(this.unit(piece[this.above]), this.below && this.unit(piece[this.below]))
      : "not known";
    setText(this.sum, `${clock(time)}\u2013${clock(time + STEP)}: ${said}`);
  }
}

// -- all together -------------------------------------------------------------------------------

const tables = {
  sites: new Table("sites", {isShort: true, isSearched: true}),
  sessions: new Table("sessions", {isShort: true, isSearched: true}),
  ends: new Table("ends", {isShort: true, isSearched: true}),
  limits: new Table("limits"),
  day: new Table("day"),
};
tables.sites.summary = () => states.away ? `; ${number(states.away)} away` : "";
tables.sessions.summary = () => {
  const said = Object.entries(states).filter(([name]) => name.startsWith("session "));
  return said.map(([name, count]) => `; ${number(count)} ${name.slice(8)}`).join("");
};

const plots = [
  new Plot({title: "Starts", above: "starts", below: "failures", isWrong: true, unit: number,
    words: (above, below) => `\u2191 ${above} started, \u2193 ${below} failed`}),
  new Plot({title: "Stalls", above: "stalls", isWrong: true, unit: number, words: (above) => `${above} lost channels`}),
  new Plot({title: "Bytes", above: "fromSite", below: "toSite", unit: size,
    words: (above, below) => `\u2191 ${above} from sites, \u2193 ${below} to them`}),
];

const host = document.querySelector("h1").firstChild.data.trim();
let states = {}, head = null;
let told = 0, toldAt = 0;  // the proxy's time, and ours by a clock that nobody sets
let heardAt = 0, patience = 10, isGone = false;

// The proxy's time, as far as it is known: while the proxy is gone no time goes on.
function clockNow() {
  return isGone ? told : told + Math.floor((performance.now() - toldAt) / 1000);
}

function take(message) {
  const {build, now, next} = message;
  if (build && build !== document.documentElement.dataset.build) return void location.reload();
  told = now;
  toldAt = performance.now();
  heardAt = Date.now();
  patience = Math.max(6, 3 * next);
  const wasGone = isGone;
  isGone = false;
  if (message.head) ({states} = head = message.head);
  for (const [name, table] of Object.entries(tables)) {
    if (message.all) table.take(message.all[name]);
    else if (message[name]) table.change(message[name]);
    else if (message.head && table.more) table.show();
  }
  if (message.head) showHead();
  if (message.attention) showTitle(showAttention(message.attention));
  if (message.all || message.day || message.head) showDay();
  if (wasGone || message.all) showFresh();
  setText(element("when"), `live, ${new Date(heardAt).toLocaleTimeString("en-GB")}`);
}

function showTitle(wrong) {
  document.title = wrong ? `(${wrong}) ${host}: rvgahp` : `${host}: rvgahp`;
}

function showHead() {
  const whose = head.administrator ? "all" : `what ${head.you} may see`;
  setText(element("about"), `${head.software}, process ${head.pid}, for ${span(clockNow() - head.since)}; ${whose}`);
  element("day-section").hidden = !head.administrator;
}

function showDay() {
  const pieces = new Map([...tables.day.rows.values()].map((row) => [row.time, row]));
  const end = (Math.floor(clockNow() / STEP) + 1) * STEP;
  for (const plot of plots) plot.show(pieces, end, head.since);
  const isNew = head.since > end - PIECES * STEP;
  setText(element("day-note"), isNew ? `This proxy was started at ${clock(head.since)}; of the time before (grey) nothing is known.` : "");
}

function showFresh() {
  document.body.classList.toggle("stale", isGone);
  setText(element("shape"), isGone ? "\u2716" : "\u25cf");
  const gone = element("gone");
  gone.hidden = !isGone;
  if (!isGone) return setText(gone, "");
  const when = new Date(heardAt).toLocaleTimeString("en-GB");
  setText(gone, `\u2716 The proxy has not answered since ${when}. What is shown below was so then.`);
  setText(element("when"), `not answered since ${when}`);
  document.title = `(?) ${host}: rvgahp`;
}

function look() {
  if (!isGone && Date.now() - heardAt > patience * 1000) {
    isGone = true;
    showFresh();
  }
  if (isGone || document.hidden || !head) return;
  showHead();
  for (const table of Object.values(tables)) table.age();
}

let source = null;

// A browser comes back by itself when a connection breaks, but not when it is refused.
function connect() {
  source?.close();
  source = new EventSource("events");
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.onerror = () => {
    // What closes is either gone or begins anew: the facts are old until it does.
    if (!isGone) { isGone = true; showFresh(); }
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
}

element("filter").addEventListener("input", () => {
  for (const table of Object.values(tables)) if (table.isSearched) table.show();
});

heardAt = Date.now();
connect();
setInterval(look, 1000);
