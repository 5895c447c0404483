// What alone.py does, for runtimes of npm: node alone.mjs PACKAGE FILE INPUTS OUTPUTS THREADS ROUNDS, from their folder.
import {readFile, writeFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {join} from 'node:path';

const [runtime, file, inputs, outputs, threads, rounds] = process.argv.slice(2);

async function main() {
  const ort = createRequire(join(process.cwd(), 'package.json'))(runtime);
  if (ort.env.wasm) ort.env.wasm.numThreads = Number(threads);
  const providers = runtime === 'onnxruntime-web' ? ['wasm'] : ['cpu'];
  const session = await ort.InferenceSession.create(await readFile(file), {
    executionProviders: providers,
    intraOpNumThreads: Number(threads),
  });
  const batches = [];
  for (const [place, shape] of JSON.parse(await readFile(join(inputs, 'shapes.json'))).entries()) {
    const bytes = async (name) => new Uint8Array(await readFile(join(inputs, `${place}.${name}`))).buffer;
    const images = new ort.Tensor('float32', new Float32Array(await bytes('images')), shape);
    const sizes = new ort.Tensor('int64', new BigInt64Array(await bytes('sizes')), [shape[0], 2]);
    batches.push({images, sizes});
    for (const [name, {data}] of Object.entries(await session.run({images, sizes}))) {
      await writeFile(join(outputs, `${place}.${name}`), new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  }
  const seconds = [];
  for (let turn = 0; turn < Number(rounds); turn++) {
    const started = performance.now();
    await session.run(batches[turn % batches.length]);
    seconds.push((performance.now() - started) / 1000);
  }
  return {seconds};
}

const result = await main().catch((error) => ({error: `${error.name}: ${error.message.split('\n')[0]}`}));
await writeFile(join(outputs, 'result.json'), JSON.stringify(result));
process.exit(0);
