"use strict";
// Noise, denoisers and networks. An image or a feature map is a Float32Array in the order height, width, channels.

const SIDE = 28;
const SETTINGS = JSON.parse(document.getElementById("settings").textContent);
const NETWORKS = {};  // arrays of layers, by name
const DIGITS = [];  // test digits: index in the test set, label, image

/** Return a function that gives random numbers from 0 to 1, always the same ones for a seed (mulberry32). */
function makeGenerator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The definitions of noise.py: gaussian is not clipped. */
const NOISES = {
  gaussian: (image, scale, random) =>
    image.map((pixel) => pixel + scale * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())),
  salt_and_pepper: (image, level, random) =>
    image.map((pixel) => {
      const drawn = random();
      return drawn >= level ? pixel : drawn >= level / 2 ? 1 : 0;
    }),
};

const DENOISERS = {
  none: (image) => image,
  median_3: (image) => filterMedian(image),
  dense: (image) => compute(NETWORKS.dense, image),
  convolutional: (image) => compute(NETWORKS.convolutional, image),
};

/** Replace each pixel by the median of the 3 × 3 pixels around it; at the border the nearest pixel is repeated. */
function filterMedian(image) {
  const inside = (place) => Math.min(Math.max(place, 0), SIDE - 1);
  const window = new Float32Array(9);
  return image.map((_, place) => {
    for (let i = 0; i < 9; i++) {
      const row = inside(Math.floor(place / SIDE) + Math.floor(i / 3) - 1);
      window[i] = image[row * SIDE + inside((place % SIDE) + (i % 3) - 1)];
    }
    return window.sort()[4];
  });
}

const ACTIVATIONS = {
  linear: (values) => values,
  relu: (values) => values.map((value) => Math.max(value, 0)),
  sigmoid: (values) => values.map((value) => 1 / (1 + Math.exp(-value))),
  softmax(values) {
    const largest = Math.max(...values);
    const powers = values.map((value) => Math.exp(value - largest));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  },
};

/** Functions of the values and the shape that enter a layer, and of the layer; they return those that leave it. */
const LAYERS = {
  reshape: (values, _, layer) => [values, layer.shape],

  dense(values, _, { kernel, bias }) {
    const out = Float32Array.from(bias), units = bias.length;
    values.forEach((value, i) => {
      if (value) for (let j = 0; j < units; j++) out[j] += value * kernel[i * units + j];
    });
    return [out, [units]];
  },

  conv2d(values, [height, width, channels], { kernel, bias, size: [tall, wide], padding }) {
    const same = padding === "same", filters = bias.length;
    const top = same ? (tall - 1) >> 1 : 0, left = same ? (wide - 1) >> 1 : 0;
    const rows = same ? height : height - tall + 1, columns = same ? width : width - wide + 1;
    const out = new Float32Array(rows * columns * filters);
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
      const place = (row * columns + column) * filters;
      out.set(bias, place);
      for (let i = 0; i < tall; i++) for (let j = 0; j < wide; j++) {
        const y = row + i - top, x = column + j - left;
        if (y < 0 || y >= height || x < 0 || x >= width) continue;
        for (let channel = 0; channel < channels; channel++) {
          const value = values[(y * width + x) * channels + channel];
          const weights = ((i * wide + j) * channels + channel) * filters;
          if (value) for (let f = 0; f < filters; f++) out[place + f] += value * kernel[weights + f];
        }
      }
    }
    return [out, [rows, columns, filters]];
  },

  conv2d_transpose(values, [height, width, channels], { kernel, bias, size: [tall, wide], stride }) {
    const rows = height * stride, columns = width * stride, filters = bias.length;
    const top = Math.max(tall - stride, 0) >> 1, left = Math.max(wide - stride, 0) >> 1;
    const out = new Float32Array(rows * columns * filters);
    for (let place = 0; place < out.length; place += filters) out.set(bias, place);
    for (let row = 0; row < height; row++) for (let column = 0; column < width; column++) {
      const from = (row * width + column) * channels;
      for (let i = 0; i < tall; i++) for (let j = 0; j < wide; j++) {
        const y = row * stride + i - top, x = column * stride + j - left;
        if (y < 0 || y >= rows || x < 0 || x >= columns) continue;
        for (let f = 0; f < filters; f++) {
          const weights = ((i * wide + j) * filters + f) * channels;
          let sum = 0;
          for (let channel = 0; channel < channels; channel++) sum += values[from + channel] * kernel[weights + channel];
          out[(y * columns + x) * filters + f] += sum;
        }
      }
    }
    return [out, [rows, columns, filters]];
  },

  max_pooling2d(values, [height, width, channels]) {
    const rows = height >> 1, columns = width >> 1, out = new Float32Array(rows * columns * channels);
    for (let place = 0; place < out.length; place++) {
      const channel = place % channels, column = Math.floor(place / channels) % columns;
      const row = Math.floor(place / channels / columns);
      const at = (i, j) => values[((2 * row + i) * width + 2 * column + j) * channels + channel];
      out[place] = Math.max(at(0, 0), at(0, 1), at(1, 0), at(1, 1));
    }
    return [out, [rows, columns, channels]];
  },
};

/** Return what a network makes of an image: the probabilities of the ten digits, or another image. */
function compute(network, image) {
  let values = image, shape = [SIDE, SIDE];
  for (const layer of network) {
    [values, shape] = LAYERS[layer.kind](values, shape, layer);
    values = ACTIVATIONS[layer.activation ?? "linear"](values);
  }
  return values;
}

/** Unpack the weights and the test digits; _networks.py describes the block. */
async function load() {
  const text = atob(document.getElementById("packed").textContent);
  const packed = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const block = new Uint8Array(await new Response(stream).arrayBuffer());
  const n_pixels = SETTINGS.digits.length * SIDE * SIDE, n_weights = (block.length - n_pixels) / 2;
  let place = 0;
  const unpack = ({ length, step }) =>
    Float32Array.from({ length }, () => {
      const low = block[place], high = block[n_weights + place++];
      return step * (((high << 24) >> 16) | low);
    });
  for (const [name, layers] of Object.entries(SETTINGS.networks)) {
    NETWORKS[name] = layers.map((layer) =>
      "kernel" in layer ? { ...layer, kernel: unpack(layer.kernel), bias: unpack(layer.bias) } : layer);
  }
  SETTINGS.digits.forEach((digit, i) => {
    const start = block.length - n_pixels + i * SIDE * SIDE;
    DIGITS.push({ ...digit, image: Float32Array.from(block.subarray(start, start + SIDE * SIDE), (p) => p / 255) });
  });
}
