/** The few operations that GPT-2 is made of, on rows of 32-bit floats. */

/**
 * out[r] = weight × input[r] + bias for the rows `from` … `to`; `weight` is [outputs, inputs].
 * Four rows and two outputs at a time share what is read: that is twice as fast as four rows alone.
 */
export function linear(out, input, weight, bias, inputs, outputs, from, to) {
  const fours = from + Math.floor((to - from) / 4) * 4, pairs = outputs - (outputs % 2);
  for (let row = from; row < fours; row += 4) {
    const a = row * inputs, b = a + inputs, c = b + inputs, d = c + inputs;
    for (let o = 0; o < pairs; o += 2) {
      const one = o * inputs, two = one + inputs;
      let a1 = bias ? bias[o] : 0, b1 = a1, c1 = a1, d1 = a1;
      let a2 = bias ? bias[o + 1] : 0, b2 = a2, c2 = a2, d2 = a2;
      for (let i = 0; i < inputs; i++) {
        const first = weight[one + i], second = weight[two + i];
        const p = input[a + i], q = input[b + i], r = input[c + i], s = input[d + i];
        a1 += first * p;
        b1 += first * q;
        c1 += first * r;
        d1 += first * s;
        a2 += second * p;
        b2 += second * q;
        c2 += second * r;
        d2 += second * s;
      }
      const place = row * outputs + o;
      out[place] = a1;
      out[place + 1] = a2;
      out[place + outputs] = b1;
      out[place + outputs + 1] = b2;
      out[place + 2 * outputs] = c1;
      out[place + 2 * outputs + 1] = c2;
      out[place + 3 * outputs] = d1;
      out[place + 3 * outputs + 1] = d2;
    }
    for (let o = pairs; o < outputs; o++) {
      for (let r = row; r < row + 4; r++) single(out, input, weight, bias, inputs, outputs, r, o);
    }
  }
  for (let row = fours; row < to; row++) {
    for (let o = 0; o < outputs; o++) single(out, input, weight, bias, inputs, outputs, row, o);
  }
}

function single(out, input, weight, bias, inputs, outputs, row, o) {
  out[row * outputs + o] = (bias ? bias[o] : 0) + dot(weight, o * inputs, input, row * inputs, inputs);
}

/** The product of two vectors of `width` numbers, in four sums that do not wait for each other. */
export function dot(a, i, b, j, width) {
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0, k = 0;
  for (; k + 4 <= width; k += 4, i += 4, j += 4) {
    s0 += a[i] * b[j];
    s1 += a[i + 1] * b[j + 1];
    s2 += a[i + 2] * b[j + 2];
    s3 += a[i + 3] * b[j + 3];
  }
  for (; k < width; k++) s0 += a[i++] * b[j++];
  return s0 + s1 + s2 + s3;
}

/** Layer normalisation (Ba et al. 2016): every row to mean 0 and variance 1, then scaled and shifted. */
export function layerNorm(out, input, scale, shift, width, epsilon, from, to) {
  for (let row = from; row < to; row++) {
    const start = row * width;
    let mean = 0, variance = 0;
    for (let i = 0; i < width; i++) mean += input[start + i];
    mean /= width;
    for (let i = 0; i < width; i++) variance += (input[start + i] - mean) ** 2;
    const factor = 1 / Math.sqrt(variance / width + epsilon);
    for (let i = 0; i < width; i++) out[start + i] = (input[start + i] - mean) * factor * scale[i] + shift[i];
  }
}

const ROOT = Math.sqrt(2 / Math.PI);

/** GELU in the form that GPT-2 uses (Hendrycks and Gimpel 2016, by the hyperbolic tangent). */
export function gelu(x) {
  return 0.5 * x * (1 + Math.tanh(ROOT * (x + 0.044715 * x * x * x)));
}

/** In place, over `count` numbers from `start` on: exp of each, divided by their sum. */
export function softmax(values, start = 0, count = values.length) {
  let largest = -Infinity, sum = 0;
  const end = start + count;
  for (let i = start; i < end; i++) if (values[i] > largest) largest = values[i];
  for (let i = start; i < end; i++) sum += values[i] = Math.exp(values[i] - largest);
  for (let i = start; i < end; i++) values[i] /= sum;
  return values;
}
