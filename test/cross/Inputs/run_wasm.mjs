// Runs cross_run of a WebAssembly module: node run_wasm.mjs MODULE INPUT OUTPUT ARENA_BYTES.
const fs = await import('fs');
const [module, input, output, arenaBytes] = process.argv.slice(2);
const memory = new WebAssembly.Memory({initial: 64});
WebAssembly.instantiate(fs.readFileSync(module), {env: {memory}}).then(({instance}) => {
  const {cross_run, __heap_base} = instance.exports;
  const image = fs.readFileSync(input);
  const at = (address) => Math.ceil(address / 64) * 64;
  const arena = at(__heap_base.value), inAt = at(arena + Number(arenaBytes)), outAt = at(inAt + image.length);
  new Uint8Array(memory.buffer).set(image, inAt);
  cross_run(arena, inAt, outAt, outAt + 4 * 11);
  fs.writeFileSync(output, Buffer.from(memory.buffer, outAt, 4 * 22));
});
