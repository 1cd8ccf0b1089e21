/**
 * Weights as they stand in the page: one string of base64, in which every tensor has its place. Matrices are rows of
 * 8-bit integers, each row with a scale of its own in 32 bits, or of 16-bit floats; all else is 32-bit floats. What
 * the decoder computes with is 32-bit floats either way.
 */

export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Every tensor of `list` ([{ name, shape, type, offset }]) as { shape, data: Float32Array }, by name. */
export function tensorsOf(list, bytes) {
  const read = (tensor) => ({ shape: tensor.shape, data: valuesOf(tensor, bytes) });
  return Object.fromEntries(list.map((tensor) => [tensor.name, read(tensor)]));
}

function valuesOf({ shape, type, offset }, bytes) {
  const count = shape.reduce((product, size) => product * size, 1);
  switch (type) {
    case "float32":
      return new Float32Array(bytes.buffer.slice(offset, offset + 4 * count));
    case "float16":
      return Float32Array.from(new Uint16Array(bytes.buffer.slice(offset, offset + 2 * count)), fromHalf);
    case "int8": {
      const width = shape[shape.length - 1], rows = count / width;
      const scales = new Float32Array(bytes.buffer.slice(offset, offset + 4 * rows));
      const small = new Int8Array(bytes.buffer, offset + 4 * rows, count);
      const values = new Float32Array(count);
      for (let row = 0, i = 0; row < rows; row++) {
        for (const end = i + width; i < end; i++) values[i] = small[i] * scales[row];
      }
      return values;
    }
    default:
      throw new TypeError(`a tensor of ${type}`);
  }
}

/** The number that 16 bits stand for (IEEE 754: a sign, 5 bits of exponent, 10 of fraction). */
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
