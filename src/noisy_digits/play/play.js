// The upper half of the page: a digit, its noise, a denoiser, and what the networks read.

const $ = (id) => document.getElementById(id);
const READERS = { mlp: "MLP", cnn: "CNN" };
const BOX = 20;  // MNIST's digits are scaled into a box of 20 × 20 pixels
const pad = $("pad");
const ink = pad.getContext("2d", { willReadFrequently: true });
let pen = null;  // where the pen is while it draws
let announcing;

/** Return a drawing, values from 0 to 1 in a square, prepared as MNIST was; null if it is empty.
 *
 * The digit is scaled into the box and moved so that its center of mass is that of the image. Each pixel is the mean
 * of 10 × 10 points.
 */
function prepareDrawing(drawn) {
  const side = Math.sqrt(drawn.length), points = 10;
  let left = side, right = -1, top = side, bottom = -1, mass = 0, x = 0, y = 0;
  drawn.forEach((value, place) => {
    if (!value) return;
    const column = place % side, row = Math.floor(place / side);
    [left, right] = [Math.min(left, column), Math.max(right, column)];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row)];
    mass += value;
    x += value * (column + 0.5);
    y += value * (row + 0.5);
  });
  if (!mass) return null;
  const scale = Math.max(right - left + 1, bottom - top + 1) / BOX;
  return Float32Array.from({ length: SIDE * SIDE }, (_, place) => {
    let sum = 0;
    for (let i = 0; i < points * points; i++) {
      const across = (place % SIDE) + ((i % points) + 0.5) / points - SIDE / 2;
      const down = Math.floor(place / SIDE) + (Math.floor(i / points) + 0.5) / points - SIDE / 2;
      const column = Math.floor(x / mass + across * scale), row = Math.floor(y / mass + down * scale);
      if (column >= 0 && column < side && row >= 0 && row < side) sum += drawn[row * side + column];
    }
    return sum / points ** 2;
  });
}

/** Return the drawing on the pad. */
function readPad() {
  const { data } = ink.getImageData(0, 0, pad.width, pad.height);
  return Float32Array.from({ length: data.length / 4 }, (_, i) => data[4 * i] / 255);
}

/** Show an image on a canvas; what is below 0 is black, what is above 1 white. */
function paint(canvas, image) {
  const pixels = new ImageData(SIDE, SIDE);
  image.forEach((value, i) => pixels.data.set([255 * value, 255 * value, 255 * value, 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

const formatPercent = (probability) => `${(100 * probability).toFixed(probability > 0.995 || probability < 0.1 ? 1 : 0)} %`;

/** Show everything that follows from the controls, and announce it when they have been at rest. */
function update() {
  const chosen = DIGITS[$("digit").value];
  const clean = (chosen ? chosen.image : prepareDrawing(readPad())) ?? new Float32Array(SIDE * SIDE);
  const amount = Number($("amount").value);
  const noisy = NOISES[$("noise").value](clean, amount, makeGenerator(Number($("draw").value)));
  const denoised = DENOISERS[$("denoiser").value](noisy);
  paint($("clean"), clean);
  paint($("noisy"), noisy);
  paint($("denoised"), denoised);
  $("amount-shown").textContent = amount.toFixed(2);
  $("amount-means").textContent =
    $("noise").value === "gaussian" ? "standard deviation, in pixel units" : "fraction of the pixels replaced";
  const empty = !chosen && !clean.some((value) => value);
  const readings = Object.entries(READERS).map(([name, label]) => {
    const probabilities = compute(NETWORKS[name], denoised);
    const read = probabilities.indexOf(Math.max(...probabilities));
    $(`${name}-reads`).textContent = empty ? "–" : read;
    probabilities.forEach((probability, digit) => {
      const cell = $(`${name}-${digit}`);
      cell.textContent = empty ? "–" : formatPercent(probability);
      cell.style.setProperty("--share", empty ? 0 : probability);
      cell.classList.toggle("read", !empty && digit === read);
    });
    return `${label} reads ${read}, ${formatPercent(probabilities[read])}.`;
  });
  const shown = empty ? "Nothing is drawn yet." : `${chosen ? `Test digit ${chosen.label}` : "Your drawing"}. `;
  clearTimeout(announcing);
  announcing = setTimeout(() => ($("announced").textContent = shown + (empty ? "" : readings.join(" "))), 500);
}

/** Empty the pad and show what is drawn on it from now on. */
function clearPad() {
  ink.fillStyle = "black";
  ink.fillRect(0, 0, pad.width, pad.height);
  $("digit").value = "";
  $("hint").hidden = false;
}

/** Draw from where the pen was to where the event is. */
function drawTo(event) {
  const box = pad.getBoundingClientRect(), scale = pad.width / pad.clientWidth;
  const to = [(event.clientX - box.left - pad.clientLeft) * scale, (event.clientY - box.top - pad.clientTop) * scale];
  ink.strokeStyle = "white";
  ink.lineWidth = 22;
  ink.lineCap = ink.lineJoin = "round";
  ink.beginPath();
  ink.moveTo(...(pen ?? to));
  ink.lineTo(...to);
  ink.stroke();
  $("hint").hidden = true;
  pen = to;
}

let waiting = false;
/** Update once before the next frame, however many events ask for it. */
function updateSoon() {
  if (!waiting) requestAnimationFrame(() => { waiting = false; update(); });
  waiting = true;
}

function listenToPad() {
  pad.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if ($("digit").value !== "") clearPad();
    pad.setPointerCapture(event.pointerId);
    drawTo(event);
    updateSoon();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!pen) return;
    const events = event.getCoalescedEvents?.() ?? [];
    (events.length ? events : [event]).forEach(drawTo);
    updateSoon();
  });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { pen = null; });
  $("clear").addEventListener("click", () => { clearPad(); update(); });
}

/** Offer the test digits, grouped by what they are. */
function listDigits() {
  for (let label = 0; label < 10; label++) {
    const group = document.createElement("optgroup");
    group.label = `Test digits ${label}`;
    DIGITS.forEach((digit, i) => {
      if (digit.label === label) group.append(new Option(`${label}, test image ${digit.index}`, i));
    });
    $("digit").append(group);
  }
  $("digit").value = 0;
}

/** Compute everything a few times: the first ones are slow, until the browser has compiled them. */
function warmUp() {
  for (let i = 0; i < 5; i++) for (const denoise of Object.values(DENOISERS)) {
    const denoised = denoise(DIGITS[0].image);
    for (const name of Object.keys(READERS)) compute(NETWORKS[name], denoised);
  }
}

load().then(() => {
  warmUp();
  clearPad();
  listDigits();
  listenToPad();
  for (const id of ["digit", "noise", "amount", "draw", "denoiser"]) $(id).addEventListener("input", update);
  $("redraw").addEventListener("click", () => { $("draw").value = Number($("draw").value) + 1; update(); });
  $("start").addEventListener("click", () => startTest());
  update();
  document.body.classList.add("ready");
});
