// Detect in an image with Node.js: npm install onnxruntime-node sharp, then node node.mjs MODEL.onnx IMAGE
import {readFile} from 'node:fs/promises';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import {Detector} from './detector.mjs';

const [model, file] = process.argv.slice(2);
const detector = await Detector.open(ort, await readFile(model));
const {data, info} = await sharp(file).autoOrient().removeAlpha().toColourspace('srgb').raw().toBuffer({resolveWithObject: true});
for (const {box, score, name} of await detector.detect({data, ...info}, 0.3)) {
  console.log(name, score.toFixed(2), box.map((side) => side.toFixed(1)).join(' '));
}
