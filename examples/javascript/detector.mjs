// A file of `tools/deploy/export.py --format onnx`, run by onnxruntime-node or onnxruntime-web.
//
// What `sparse_rcnn_ext.export.Detector` does in Python: metadata, resizing, padding, normalising, and boxes in pixels
// of the image. No other package is needed, and nothing but an ONNX runtime differs between Node.js and a browser.

const NAMES = ['classes', 'size', 'resize', 'pad', 'pad_divisor', 'clip_boxes', 'channel_order', 'mean', 'std'];

export class Detector {
  /**
   * Open a file.
   *
   * @param ort The runtime: what `import * as ort from 'onnxruntime-node'` (or -web) gives.
   * @param {Uint8Array} bytes The file.
   * @param options Of `ort.InferenceSession.create`, such as `{executionProviders: ['wasm']}`.
   */
  static async open(ort, bytes, options) {
    const metadata = readMetadata(bytes);
    if (!metadata.classes) throw new Error('the file has no metadata: give one of tools/deploy/export.py');
    return new Detector(ort, metadata, await ort.InferenceSession.create(bytes, options));
  }

  constructor(ort, metadata, session) {
    Object.assign(this, {ort, metadata, session, classes: metadata.classes});
  }

  /**
   * Detect objects in an image.
   *
   * @param {{data: Uint8Array|Uint8ClampedArray, width: number, height: number}} image Rows of RGB or RGBA, such as
   *     the ImageData of a canvas.
   * @param {number} scoreThr Detections of a lower score are left out.
   * @returns {Promise<{box: number[], score: number, label: number, name: string}[]>} Best first; a box is left, top,
   *     right, bottom in pixels of the image.
   */
  async detect(image, scoreThr = 0.05) {
    const {pixels, shape, size, factors} = prepare(image, this.metadata);
    const {boxes, scores, labels} = await this.session.run({
      images: new this.ort.Tensor('float32', pixels, shape),
      sizes: new this.ort.Tensor('int64', BigInt64Array.from(size, BigInt), [1, 2]),
    });
    const found = [];
    for (const [place, score] of scores.data.entries()) {
      let box = Array.from(boxes.data.subarray(4 * place, 4 * place + 4), (side, axis) => side / factors[axis % 2]);
      if (this.metadata.clip_boxes) {
        box = box.map((side, axis) => Math.min(Math.max(side, 0), axis % 2 ? image.height : image.width));
      }
      const isSeen = !this.metadata.clip_boxes || (box[2] > box[0] && box[3] > box[1]);
      const label = Number(labels.data[place]);
      if (score >= scoreThr && isSeen) found.push({box, score, label, name: this.classes[label]});
    }
    return found;
  }
}

/** The metadata of an ONNX file: field 14 of its protobuf has pairs of a name (1) and a text (2), here JSON. */
export function readMetadata(bytes) {
  const metadata = {};
  const decoder = new TextDecoder();
  for (const [field, value] of protobufFields(bytes)) {
    if (field !== 14) continue;
    const pair = Object.fromEntries(protobufFields(value));
    const name = decoder.decode(pair[1]);
    if (NAMES.includes(name)) metadata[name] = JSON.parse(decoder.decode(pair[2]));
  }
  return metadata;
}

/** What the network gets: pixels (1, 3, H, W), their shape, the image's own height and width in them, its factors. */
export function prepare(image, metadata) {
  const {pad, pad_divisor: divisor, mean, std} = metadata;
  const [height, width] = fittingSize(image, metadata);
  const channels = image.data.length / (image.width * image.height);
  if (channels !== 3 && channels !== 4) throw new Error('an image is none of RGB or RGBA');
  const size = pad ? pad.size : [height, width];
  const [high, wide] = metadata.size ?? size.map((side) => Math.ceil(side / divisor) * divisor);
  const pixels = new Float32Array(3 * high * wide);
  const rows = neighbours(image.height, height);
  const columns = neighbours(image.width, width);
  for (let channel = 0; channel < 3; channel++) {
    // Channels of the network, whose numbers in the image are those of RGB.
    const source = metadata.channel_order === 'bgr' ? 2 - channel : channel;
    const level = (y, x) => image.data[(y * image.width + x) * channels + source];
    const normal = (value) => (value - mean[channel]) / std[channel];
    for (let y = 0; y < size[0]; y++) {
      for (let x = 0; x < size[1]; x++) {
        let value = pad?.value[source];
        if (y < height && x < width) {
          const [above, below, down] = rows[y];
          const [left, right, along] = columns[x];
          const first = between(level(above, left), level(below, left), down);
          const second = between(level(above, right), level(below, right), down);
          value = Math.floor(Math.fround(between(first, second, along) + 0.5));
        }
        pixels[(channel * high + y) * wide + x] = normal(value);
      }
    }
  }
  return {pixels, shape: [1, 3, high, wide], size, factors: [width / image.width, height / image.height]};
}

/** Height and width to which an image is resized. */
function fittingSize(image, {size, resize}) {
  if (!resize.keep_ratio) return resize.scale;
  const sides = [image.height, image.width];
  const ratio = (pick) => pick(...resize.scale) / pick(...sides);
  let factor = Math.min(ratio(Math.max), ratio(Math.min));
  if (size) factor = Math.min(factor, size[0] / sides[0], size[1] / sides[1]);
  return sides.map((side) => Math.max(Math.floor(side * factor + 0.5), 1));
}

/** Both neighbours of each new pixel's centre along an axis, and the share of the second: bilinear as OpenCV has it. */
function neighbours(old, count) {
  return Array.from({length: count}, (_, place) => {
    const at = Math.min(Math.max((place + 0.5) * (old / count) - 0.5, 0), old - 1);
    const first = Math.floor(at);
    return [first, Math.min(first + 1, old - 1), Math.fround(at - first)];
  });
}

/** Between two levels, rounded to 32 bits as numpy does it: a level more or less moves detections. */
function between(first, second, share) {
  return Math.fround(first + Math.fround(share * Math.fround(second - first)));
}

/** Fields of a protobuf message: their numbers, and their bytes where they have any. */
function* protobufFields(bytes) {
  let at = 0;
  const varint = () => {
    let [value, unit, byte] = [0, 1, 128];
    for (; byte >= 128; unit *= 128) {
      byte = bytes[at++];
      value += (byte % 128) * unit;
    }
    return value;
  };
  while (at < bytes.length) {
    const key = varint();
    const kind = key % 8;
    const length = kind === 0 ? void varint() ?? 0 : kind === 2 ? varint() : kind === 1 ? 8 : 4;
    yield [Math.floor(key / 8), bytes.subarray(at, at + length)];
    at += length;
  }
}
