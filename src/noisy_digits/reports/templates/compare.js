"use strict";
// The address holds the view: a choice changes the address, from which the page is drawn again.
// Names and levels come from params files, notebooks and addresses: they become text, never markup.

const CHOICES = ["assignment", "notebook", "metric", "x", "color", "fx", "fy"]; // each is the id of a select
const AXES = ["x", "color", "fx", "fy"];
const NUMBERS = { mean: "mean", std: "standard deviation", n: "n" };
// Okabe and Ito's palette, as in the figures; with the symbols no two of the first 56 series look the same.
const COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "currentColor"];
const SORT_MARKS = { none: "", ascending: " ▲", descending: " ▼" };
const SYMBOLS = ["circle", "square", "triangle", "diamond", "cross", "star", "wye", "times"];
const MOST_LEVELS = { color: 10, fx: 4, fy: 4 }; // of a column that is drawn so without being chosen

const FEATURES = libraries.tableFeatures({
  coreReactivityFeature: libraries.storeReactivityBindings(),
  columnFilteringFeature: libraries.columnFilteringFeature,
  rowSortingFeature: libraries.rowSortingFeature,
  filteredRowModel: libraries.createFilteredRowModel(),
  sortedRowModel: libraries.createSortedRowModel(),
});

const results = JSON.parse(document.getElementById("results").textContent);
const toMap = (names) => new Map(Object.entries(names));
const [assignments, notebooks, columns] = [results.assignments, results.notebooks, results.columns].map(toMap);
const points = results.points.run.map((place, i) => {
  const run = results.runs[place];
  const [mean, std, n] = ["mean", "std", "n"].map((field) => results.points[field][i]);
  return {
    run,
    measure: results.measures[results.points.measure[i]],
    levels: toMap({ ...run.levels, ...results.points.levels[i] }),
    ...{ mean, std, n },
    text: { mean: results.points.mean_text[i], std: results.points.std_text[i], n },
  };
});
let view;

const byId = (id) => document.getElementById(id);
const unique = (values) => [...new Set(values)];
const formatName = (name) => columns.get(name).replace(/ \([^()]*\)$/, ""); // without its unit
const toKey = (level) => String(level ?? ""); // "": the numbers do not depend on the column

function formatLevel(column, level) {
  if (column === "assignment") return assignments.get(level);
  return column === "notebook" ? level : toKey(level).replaceAll("_", " ") || "–";
}

function formatPoint(point, names) {
  const known = names.filter((name) => point.levels.has(name) && name !== "assignment"); // which the notebook names
  return known.map((name) => `${formatName(name)} ${formatLevel(name, point.levels.get(name))}`).join(", ");
}

function isDrawn(chosen, name) {
  return AXES.some((axis) => chosen[axis] === name);
}

/** Return the levels of a column: numbers in their order, then text as it first appears, then none. */
function listLevels(chosen, column) {
  const levels = unique(chosen.map((point) => point.levels.get(column)));
  const numbers = levels.filter((level) => typeof level === "number").sort((a, b) => a - b);
  const texts = levels.filter((level) => typeof level === "string");
  return [...numbers, ...texts, ...(levels.includes(undefined) ? [undefined] : [])];
}

/** Return the view that an address describes. What it leaves out has its default, and so has what it gets wrong. */
function readView(params) {
  const wrong = [];
  const pick = (key, allowed, preferred) => {
    const given = params.get(key);
    if (allowed.includes(given)) return given;
    if (given !== null) wrong.push(`${key} ${given}`);
    return preferred;
  };
  const is = (column, level) => (point) => level === "" || point.levels.get(column) === level;
  const chosen = { allowed: {} };
  const choose = (key, allowed, preferred) => {
    chosen.allowed[key] = allowed;
    chosen[key] = pick(key, allowed, preferred);
  };

  const all = listLevels(points, "assignment");
  choose("assignment", ["", ...all], all[0]);
  const ofAssignment = points.filter(is("assignment", chosen.assignment));
  const nearby = listLevels(ofAssignment, "notebook");
  const main = nearby.find((name) => notebooks.get(name).headline) ?? nearby[0];
  choose("notebook", ["", ...nearby], chosen.assignment && main);
  const ofNotebook = ofAssignment.filter(is("notebook", chosen.notebook));
  const metrics = unique(ofNotebook.map((point) => point.measure.name));
  const { headline } = notebooks.get(chosen.notebook || main);
  choose("metric", metrics, metrics.includes(headline) ? headline : metrics[0]);
  chosen.points = ofNotebook.filter((point) => point.measure.name === chosen.metric);
  const varying = [...columns.keys()].filter((name) => listLevels(chosen.points, name).length > 1);
  const shown = varying.length ? varying : ["notebook"];
  chosen.levels = new Map(shown.map((name) => [name, listLevels(chosen.points, name)]));
  chooseAxes(chosen, choose);

  const names = [...chosen.levels.keys()];
  chosen.sort = pick("sort", ["", ...Object.keys(NUMBERS), ...names.map((name) => `by.${name}`)], "");
  chosen.order = pick("order", ["ascending", "descending"], "ascending");
  const listHidden = (name) => {
    const keys = chosen.levels.get(name).map(toKey);
    return unique(params.getAll(`hide.${name}`)).filter((key) => keys.includes(key));
  };
  chosen.hidden = new Map(names.map((name) => [name, listHidden(name)]));
  for (const [key, given] of params) {
    const isChoice = [...CHOICES, "sort", "order"].includes(key);
    const isHidden = key.startsWith("hide.") && chosen.hidden.get(key.slice(5))?.includes(given);
    if (isChoice ? params.get(key) !== given : !isHidden) wrong.push(`${key} ${given}`);
  }
  return { ...chosen, wrong };
}

/** Choose by default the column with most numbers as x, and draw the others so that no two points coincide. */
function chooseAxes(chosen, choose) {
  const names = [...chosen.levels.keys()].sort((a, b) => chosen.levels.get(b).length - chosen.levels.get(a).length);
  const isNumeric = (name) => chosen.levels.get(name).length > 2 && chosen.levels.get(name).every(Number.isFinite);
  const isComplete = (name) => !chosen.levels.get(name).includes(undefined);
  choose("x", names, names.find(isNumeric) ?? names.find(isComplete) ?? names[0]);
  for (const axis of ["color", "fx", "fy"]) {
    const fits = (name) => isComplete(name) && chosen.levels.get(name).length <= MOST_LEVELS[axis];
    choose(axis, ["", ...names], names.find((name) => fits(name) && !isDrawn(chosen, name)) ?? "");
  }
}

function toParams({ hidden, ...values }) {
  const params = new URLSearchParams();
  for (const key of [...CHOICES, "sort", "order"]) params.set(key, values[key]);
  for (const [name, levels] of hidden) for (const level of levels) params.append(`hide.${name}`, level);
  return params;
}

/** Show the view with some values changed; what no longer fits them gets its default. */
function change(changes) {
  const next = { ...view, ...changes };
  const [key] = Object.keys(changes);
  const taken = AXES.find((axis) => axis !== key && AXES.includes(key) && changes[key] && view[axis] === changes[key]);
  if (taken) next[taken] = view[key]; // two axes change places
  const params = toParams(next);
  if (key === "assignment" || key === "notebook") {
    const kept = CHOICES.slice(0, CHOICES.indexOf(key) + 1);
    for (const name of unique([...params.keys()])) if (!kept.includes(name)) params.delete(name);
  }
  history.replaceState(null, "", `#${toParams(readView(params))}`);
  draw();
}

function build(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function fillChoices() {
  const describe = {
    assignment: (name) => assignments.get(name) ?? "all assignments",
    notebook: (name) => (name ? `${name.slice(name.indexOf("/") + 1)}: ${notebooks.get(name).title}` : "all notebooks"),
    metric: (name) => results.measures.find((measure) => measure.name === name).label,
  };
  for (const key of CHOICES) {
    const name = describe[key] ?? ((column) => (column ? formatName(column) : "nothing"));
    byId(key).replaceChildren(...view.allowed[key].map((value) => build("option", { value }, name(value))));
    byId(key).value = view[key];
  }
}

function fillFilters() {
  const groups = [...view.levels].map(([name, levels], i) => {
    const hidden = view.hidden.get(name);
    const hide = (keys) => change({ hidden: new Map([...view.hidden, [name, keys]]) });
    const boxes = levels.map((level, j) => {
      const box = build("input", { type: "checkbox", id: `level-${i}-${j}` });
      box.checked = !hidden.includes(toKey(level));
      const isHidden = (key) => (key === toKey(level) ? !box.checked : hidden.includes(key));
      box.onchange = () => hide(levels.map(toKey).filter(isHidden));
      return build("label", {}, box, ` ${formatLevel(name, level)}`);
    });
    const button = build("button", { type: "button", id: `levels-${i}` }, hidden.length ? "Show all" : "Hide all");
    button.onclick = () => hide(hidden.length ? [] : levels.map(toKey));
    return build("fieldset", {}, build("legend", {}, formatName(name)), ...boxes, button);
  });
  byId("columns").replaceChildren(...groups);
  const count = [...view.hidden.values()].flat().length;
  byId("hidden-levels").textContent = count ? `: ${count} hidden` : "";
}

/** Return the points that no filter hides, in the order of the table. */
function selectPoints() {
  const compare = (a, b, id) => a.getValue(id) - b.getValue(id);
  const byLevel = [...view.levels].map(([name, levels]) => ({
    id: `by.${name}`,
    accessorFn: (point) => levels.indexOf(point.levels.get(name)),
    filterFn: (row, id, hidden) => !hidden.includes(toKey(levels[row.getValue(id)])),
    sortFn: compare,
  }));
  const byNumber = Object.keys(NUMBERS).map((id) => ({
    id,
    accessorFn: (point) => point[id] ?? undefined,
    sortUndefined: "last",
    sortFn: compare,
  }));
  const table = libraries.constructTable({
    features: FEATURES,
    data: view.points,
    columns: [...byLevel, ...byNumber],
    initialState: {
      columnFilters: [...view.hidden].map(([name, hidden]) => ({ id: `by.${name}`, value: hidden })),
      sorting: view.sort ? [{ id: view.sort, desc: view.order === "descending" }] : [],
    },
  });
  return table.getRowModel().rows.map((row) => row.original);
}

function fillTable(shown) {
  const names = [...view.levels.keys()];
  const headings = [...names.map((name) => [`by.${name}`, formatName(name)]), ...Object.entries(NUMBERS)];
  const head = headings.map(([id, label], i) => {
    const sorted = view.sort === id ? view.order : "none";
    const button = build("button", { type: "button", id: `sort-${i}` }, label, SORT_MARKS[sorted]);
    button.onclick = () => change({ sort: id, order: sorted === "ascending" ? "descending" : "ascending" });
    return build("th", { scope: "col", "aria-sort": sorted, class: id in NUMBERS ? "number" : "" }, button);
  });
  const rows = shown.map((point) => {
    const levels = names.map((name) => formatLevel(name, point.levels.get(name)));
    const cells = levels.map((level, i) => build(i ? "td" : "th", i ? {} : { scope: "row" }, level));
    const numbers = Object.keys(NUMBERS).map((id) =>
      build("td", { class: "number" }, build("data", { value: point[id] ?? "" }, String(point.text[id]))),
    );
    const where = build("span", { class: "unseen" }, `: ${formatPoint(point, names)}`);
    const link = point.run.page ? build("a", { href: point.run.page }, "page", where) : "no page";
    const status = point.run.status ? ` (${point.run.status})` : "";
    return build("tr", {}, ...cells, ...numbers, build("td", {}, link, status));
  });
  const table = byId("table");
  table.tHead.replaceChildren(build("tr", {}, ...head, build("th", { scope: "col" }, "run")));
  table.tBodies[0].replaceChildren(...rows);
}

/** Return a scale for levels: linear if all steps are wide enough to see, otherwise logarithmic. */
function spaceLevels(levels) {
  const smallestStep = Math.min(...levels.slice(1).map((level, i) => level - levels[i]));
  const range = levels.at(-1) - levels[0];
  const ticks = levels.length <= 12 ? { ticks: levels, tickFormat: String } : {};
  if (levels[0] < 0 || levels.length < 3 || smallestStep > range / 25) return { type: "linear", ...ticks };
  return { type: "symlog", constant: levels[0] / 10 || levels[1], ...ticks }; // unlike log, it labels all ticks
}

/** Return a scale for values: logarithmic, with a tick per power of ten, if they are positive and differ 100-fold. */
function spaceValues(values) {
  const [least, greatest] = [Math.min(...values), Math.max(...values)];
  if (least <= 0 || !(greatest > 100 * least)) return { type: "linear" };
  const powers = Array.from({ length: 40 }, (_, i) => 10 ** (i - 20));
  const ticks = powers.filter((power) => power > least && power < greatest);
  return { type: "log", ticks, tickFormat: (power) => (power < 0.001 ? power.toExponential() : String(power)) };
}

/** Return error bars, lines (along numbers) and symbols, and what the pointer shows. */
function drawMarks(drawn, isNumeric, isLog) {
  const { x, color, fx, fy } = view;
  const at = (name) => name && ((point) => toKey(point.levels.get(name)));
  const place = {
    x: isNumeric ? (point) => point.levels.get(x) : at(x),
    ...(fx && { fx: at(fx) }),
    ...(fy && { fy: at(fy) }),
  };
  // A level may be called none or star: the scale says that it is neither a color nor a symbol.
  const stroke = color ? { value: at(color), scale: "color" } : COLORS[0];
  const symbol = color ? { value: at(color), scale: "symbol" } : SYMBOLS[0];
  const floor = isLog ? Math.min(...drawn.map((point) => point.mean)) / 2 : -Infinity;
  const low = (point) => Math.max(floor, point.mean - point.std);
  const high = (point) => point.mean + point.std;
  const otherLevels = (point) => JSON.stringify([...point.levels].filter(([name]) => name !== x));
  const series = listLevels(drawn, color);
  const pairs = unique(drawn.map(({ levels }) => JSON.stringify([levels.get(x), levels.get(color)])));
  const step = isNumeric || pairs.length === listLevels(drawn, x).length ? 0 : 7; // between series at one place
  const marks = series.flatMap((level, i) => {
    const own = drawn.filter((point) => point.levels.get(color) === level);
    const replicated = own.filter((point) => point.n > 1);
    const style = { ...place, stroke, dx: step * (i - (series.length - 1) / 2) };
    return [
      libraries.ruleX(replicated, { ...style, y1: low, y2: high }),
      isNumeric ? libraries.line(own, { ...style, y: "mean", z: otherLevels, sort: place.x }) : null,
      libraries.dot(own, { ...style, y: "mean", fill: stroke, symbol, r: 4 }),
    ];
  });
  const names = [...view.levels.keys()];
  const title = ({ text, n, ...point }) => `${formatPoint(point, names)}\n${text.mean} ± ${text.std} (n = ${n})`;
  return [...marks, libraries.tip(drawn, libraries.pointer({ ...place, y: "mean", title }))];
}

function drawChart(shown, summary) {
  const { x, color, fx, fy } = view;
  const drawn = shown.filter((point) => point.levels.has(x));
  const xs = listLevels(drawn, x);
  const isNumeric = xs.every(Number.isFinite);
  const y = spaceValues(drawn.map((point) => point.mean));
  const describeScale = (name) => ({
    label: columns.get(name),
    domain: listLevels(drawn, name).map(toKey),
    tickFormat: (key) => formatLevel(name, key),
  });
  const look = (all) =>
    listLevels(drawn, color).map((level) => all[view.levels.get(color).indexOf(level) % all.length]);
  const count = (name) => (name ? listLevels(drawn, name).length : 1);
  const lengths = (name) => listLevels(drawn, name).map((level) => formatLevel(name, level).length);
  const measureText = (name) => 8 * Math.max(0, ...lengths(name)); // pixels
  const width = Math.max(byId("chart").clientWidth, 180 * count(fx) + 110);
  const isTight = !isNumeric && measureText(x) * xs.length * count(fx) > width - 110;
  const marginBottom = isTight ? 56 + 0.7 * measureText(x) : 56;
  const chart = libraries.plot({
    width,
    height: Math.max(320, 220 * count(fy)) + 50 + marginBottom,
    inset: 8,
    marginLeft: Math.max(70, isTight ? 0.7 * measureText(x) - width / (2 * xs.length) : 0),
    marginRight: fy ? measureText(fy) + 30 : 30,
    marginBottom,
    style: { fontSize: "13px" },
    x: {
      ...(isNumeric ? { label: columns.get(x), ...spaceLevels(xs) } : { type: "point", ...describeScale(x) }),
      tickRotate: isTight ? -45 : 0,
      labelOffset: marginBottom - 10,
    },
    y: { label: view.points[0].measure.axis, labelAnchor: "center", grid: true, ...y },
    ...(fx && { fx: describeScale(fx) }),
    ...(fy && { fy: describeScale(fy) }),
    ...(color && {
      color: { ...describeScale(color), range: look(COLORS) },
      symbol: { ...describeScale(color), range: look(SYMBOLS) },
    }),
    marks: drawMarks(drawn, isNumeric, y.type === "log"),
  });
  chart.setAttribute("aria-hidden", true); // its parts are labeled as marks; the summary says what it shows
  byId("chart").replaceChildren(chart);
  byId("chart").setAttribute("aria-label", summary);
  const hasLegend = color && drawn.length;
  const legend = hasLegend ? chart.legend("symbol", { fill: "color", stroke: "color" }) : "";
  byId("legend").replaceChildren(hasLegend ? `${formatName(color)}: ` : "", legend);
}

/** Return in words what the view shows. */
function describe(shown) {
  const measure = view.points[0].measure;
  const names = [...view.levels.keys()];
  const words = { x: "against", color: "in colors by", fx: "side by side by", fy: "one below another by" };
  const drawn = AXES.filter((axis) => view[axis]).map((axis) => `${words[axis]} ${formatName(view[axis])}`);
  const runs = unique(shown.map((point) => point.run)).length;
  const sentences = [
    `${measure.label} ${drawn.join(", ")}: ${shown.length} of ${view.points.length} points, from ${runs} runs.`,
  ];
  const sorted = [...shown].sort((a, b) => a.mean - b.mean);
  for (const [word, point] of sorted.length ? [["Lowest", sorted[0]], ["Highest", sorted.at(-1)]] : []) {
    sentences.push(`${word}: ${point.text.mean} at ${formatPoint(point, names)}.`);
  }
  const lost = shown.filter((point) => !point.levels.has(view.x)).length;
  if (lost) sentences.push(`${lost} points have no ${formatName(view.x)} and are only in the table.`);
  const merged = names.filter((name) => !isDrawn(view, name) && listLevels(shown, name).length > 1);
  if (merged.length) sentences.push(`Not told apart in the chart: ${merged.map(formatName).join(", ")}.`);
  const heading = view.sort && (NUMBERS[view.sort] ?? formatName(view.sort.slice(3)));
  if (heading) sentences.push(`The table is sorted by ${heading}, ${view.order}.`);
  return sentences.join(" ");
}

function draw() {
  const focused = document.activeElement?.id;
  view = readView(new URLSearchParams(location.hash.slice(1)));
  const shown = selectPoints();
  const summary = describe(shown);
  fillChoices();
  fillFilters();
  fillTable(shown);
  drawChart(shown, summary);
  byId("shown").textContent = summary;
  const wrong = view.wrong.join("; ").slice(0, 300);
  byId("ignored").textContent = wrong && `Not here, so the defaults are shown: ${wrong}`;
  byId(focused)?.focus();
}

for (const key of CHOICES) byId(key).onchange = () => change({ [key]: byId(key).value });
window.onhashchange = draw;
window.onresize = () => drawChart(selectPoints(), byId("shown").textContent);
byId("app").hidden = false;
draw();
