// The lower half of the page: the reading test.

const COLUMNS = [["you", "you"], ["mlp", "MLP"], ["cnn", "CNN"], ["median_3", "CNN after median"],
  ["dense", "CNN after dense autoencoder"], ["convolutional", "CNN after convolutional autoencoder"]];
let test;  // reader, trials

/** Return the items in random order. */
function shuffle(items, random) {
  const shuffled = [...items];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
  }
  return shuffled;
}

/** Return the trials of a test: its digits, their levels and their noise all follow from the seed. */
function makeTrials(seed) {
  const random = makeGenerator(seed);
  const levels = SETTINGS.levels.flatMap((level) => Array(SETTINGS.digitsPerLevel).fill(level));
  const digits = shuffle(DIGITS, random).slice(0, levels.length);
  return shuffle(levels, random).map((level, i) => (
    { ...digits[i], level, noisy: NOISES.salt_and_pepper(digits[i].image, level, random) }));
}

/** Begin a test. The number of the reader is the seed, drawn at random. */
function startTest(seed = crypto.getRandomValues(new Uint32Array(1))[0]) {
  test = { reader: seed.toString(16).padStart(8, "0"), trials: makeTrials(seed) };
  $("start").hidden = $("result").hidden = true;
  $("trial").hidden = false;
  $("trial").focus();
  showTrial();
}

function showTrial() {
  const number = test.trials.findIndex((trial) => trial.answer === undefined);
  if (number < 0) return showResult();
  paint($("trial-digit"), test.trials[number].noisy);
  $("progress").textContent = `Digit ${number + 1} of ${test.trials.length}`;
}

function answer(digit) {
  test.trials.find((trial) => trial.answer === undefined).answer = digit;
  showTrial();
}

/** Return who read a trial's noisy digit correctly, by column. */
function judge(trial) {
  const reads = (name, image) => {
    const probabilities = compute(NETWORKS[name], image);
    return probabilities.indexOf(Math.max(...probabilities)) === trial.label;
  };
  return {
    you: trial.answer === trial.label,
    mlp: reads("mlp", trial.noisy),
    cnn: reads("cnn", trial.noisy),
    ...Object.fromEntries(["median_3", "dense", "convolutional"].map((name) =>
      [name, reads("cnn", DENOISERS[name](trial.noisy))])),
  };
}

/** Return the ends of Wilson's 95 % confidence interval for a fraction of n. */
function wilsonInterval(fraction, n) {
  const z = 1.959963984540054, middle = fraction + z ** 2 / (2 * n);
  const half = z * Math.sqrt((fraction * (1 - fraction)) / n + z ** 2 / (4 * n ** 2));
  return [(middle - half) / (1 + z ** 2 / n), (middle + half) / (1 + z ** 2 / n)];
}

function addCell(row, text, scope) {
  const cell = document.createElement(scope ? "th" : "td");
  if (scope) cell.scope = scope;
  cell.textContent = text;
  row.append(cell);
}

function showResult() {
  const judged = test.trials.map((trial) => ({ level: trial.level, ...judge(trial) }));
  const body = $("scores");
  body.replaceChildren();
  for (const level of [...SETTINGS.levels, null]) {
    const rows = judged.filter((trial) => level === null || trial.level === level);
    const count = (name) => rows.filter((trial) => trial[name]).length;
    const [low, high] = wilsonInterval(count("you") / rows.length, rows.length);
    const row = body.insertRow();
    addCell(row, level ?? "all", "row");
    COLUMNS.forEach(([name], i) => {
      addCell(row, `${count(name)} of ${rows.length}`);
      if (!i) addCell(row, `${low.toFixed(2)} to ${high.toFixed(2)}`);
    });
  }
  const right = judged.filter((trial) => trial.you).length;
  $("score").textContent = `You read ${right} of ${judged.length} digits correctly.`;
  $("csv").href = `data:text/csv;charset=utf-8,${encodeURIComponent(writeCsv())}`;
  $("csv").download = `reader-${test.reader}.csv`;
  $("trial").hidden = true;
  $("result").hidden = $("start").hidden = false;
  $("start").textContent = "Take another test";
  $("result").focus();
}

/** Return the test as CSV, one line per digit. */
function writeCsv() {
  const rows = test.trials.map((trial, i) => ({
    reader: test.reader, dataset: SETTINGS.dataset, trial: i + 1, image: trial.index, level: trial.level,
    label: trial.label, answer: trial.answer,
  }));
  const lines = rows.map((row) => SETTINGS.columns.map((column) => row[column]).join(","));
  return [SETTINGS.columns.join(","), ...lines, ""].join("\n");
}

document.querySelectorAll("#answers button").forEach((button) =>
  button.addEventListener("click", () => answer(Number(button.textContent))));
$("trial").addEventListener("keydown", (event) => {
  if (/^[0-9]$/.test(event.key) && !event.repeat && !event.ctrlKey && !event.altKey && !event.metaKey) {
    answer(Number(event.key));
  }
});
