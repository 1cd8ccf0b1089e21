// A decoding step of GPT-2 over one row, from a token to its logits; `compiled_step.py` says what is given.
//
// Matrices lie in panels of PANEL outputs, [outputs / PANEL, inputs, PANEL], so that a panel's sums stay in registers
// while its weights are read from end to end. Whole numbers of 8 bits lie in a panel's row as [LANES, PARTS]: what one
// lane of PARTS vectors takes is one number of 32 bits.

#include "vectors.h"

constexpr int PARTS = 4, PANEL = LANES * PARTS;
constexpr int WIDTH = HEAD_WIDTH, VECTORS = WIDTH / LANES;
constexpr int64_t SHARED = 1 << 17;  // multiplications that are worth a second thread

typedef int32_t Integers __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

struct Matrix {
    const void *weights;
    const float *scale, *bias;  // [outputs], padded to a panel; no scale: the weights are floats
    int64_t inputs, outputs;
};

struct Norm {
    const float *weight, *bias;
    float epsilon;
};

struct Layer {
    Norm norm_1;
    Matrix projection, output;
    Norm norm_2;
    Matrix up, down;
    const float *relative;  // embeddings of distances [heads, distances, WIDTH], or none
    float scaling;
};

struct Decoder {
    const float *words, *places;  // embeddings [V, D] and [period, D]
    const Layer *layers;
    Norm last;
    Matrix head;
    int64_t depth, heads, distances, period;
};

struct Room {
    float *const *pairs;  // of each layer the keys and the values [2, heads, length, WIDTH]
    int64_t length, threads;
    float *states, *normed, *projected, *raised, *scores;  // D, D, 3 D, the MLP's width, [heads, length]
};

template <int part>
static inline Vector weights_of(const float *row) {
    return load(row + part * LANES);
}

// In the highest byte of 32 bits, so times 2^24, which the scale takes back.
template <int part>
static inline Vector weights_of(const int8_t *row) {
    const Bits highest = (*reinterpret_cast<const Bits *>(row) << (24 - 8 * part)) & 0xff000000u;
    return __builtin_convertvector(reinterpret_cast<const Integers &>(highest), Vector);
}

enum Then { STORE, ADD };

template <Then then, class Weight>
static inline void panel(const Matrix &matrix, int64_t first, const float *inputs, float *outputs) {
    const Weight *row = static_cast<const Weight *>(matrix.weights) + first * matrix.inputs;
    Vector sums[2][PARTS] = {};  // two of each output, neither of which waits for the other
    for (int64_t i = 0; i < matrix.inputs; i += 2)
        for (int odd = 0; odd < 2; odd++, row += PANEL) {
            sums[odd][0] += inputs[i + odd] * weights_of<0>(row);
            sums[odd][1] += inputs[i + odd] * weights_of<1>(row);
            sums[odd][2] += inputs[i + odd] * weights_of<2>(row);
            sums[odd][3] += inputs[i + odd] * weights_of<3>(row);
        }
    for (int part = 0; part < PARTS; part++) {
        const int64_t at = first + part * LANES, left = matrix.outputs - at;
        if (left <= 0) break;
        Vector sum = sums[0][part] + sums[1][part];
        if (matrix.scale) sum *= load(matrix.scale + at);
        sum += load(matrix.bias + at);
        if (then == ADD) sum += load(outputs + at);  // to states, whose number is a multiple of LANES
        std::memcpy(outputs + at, &sum, sizeof(float) * (left < LANES ? left : LANES));
    }
}

template <Then then>
static void multiply(const Matrix &matrix, const float *inputs, float *outputs, int64_t threads) {
    const int64_t panels = (matrix.outputs + PANEL - 1) / PANEL;
    spread(panels, matrix.inputs * matrix.outputs < SHARED ? 1 : threads, [=, &matrix](int64_t n) {
        if (matrix.scale)
            panel<then, int8_t>(matrix, n * PANEL, inputs, outputs);
        else
            panel<then, float>(matrix, n * PANEL, inputs, outputs);
    });
}

static void gelu(float *values, int64_t size) {
    for (int64_t i = 0; i < size; i++) {
        const float x = values[i];
        // 0.5 x (1 + tanh y) is x / (1 + e^-2y).
        values[i] = x / (1.f + exponential(-1.5957691216f * (x + 0.044715f * x * x * x)));
    }
}

static void normalize(const Norm &norm, const float *states, float *normed, int64_t size) {
    float mean = 0, variance = 0;
    for (int64_t i = 0; i < size; i++) mean += states[i];
    mean /= size;
    for (int64_t i = 0; i < size; i++) variance += (states[i] - mean) * (states[i] - mean);
    const float scale = 1.f / std::sqrt(variance / size + norm.epsilon);
    for (int64_t i = 0; i < size; i++) normed[i] = (states[i] - mean) * scale * norm.weight[i] + norm.bias[i];
}

static inline float dot(const float *a, const float *b) {
    float sum = 0;
    for (int i = 0; i < WIDTH; i++) sum += a[i] * b[i];
    return sum;
}

// What one head at `position` mixes from the values up to its own.
static void attend(const float *query, const float *keys, const float *values, const float *relative,
                   int64_t distances, int64_t position, float scaling, float *scores, float *mixed) {
    float most = -INFINITY, total = 0;
    for (int64_t at = 0; at <= position; at++) {
        float score = dot(query, keys + at * WIDTH);
        if (relative) {
            const int64_t distance = position - at, kind = distance < distances ? distance : distances - 1;
            score += dot(query, relative + kind * WIDTH);
        }
        scores[at] = score * scaling;
        most = scores[at] > most ? scores[at] : most;
    }
    for (int64_t at = 0; at <= position; at++) {
        scores[at] = exponential(scores[at] - most);
        total += scores[at];
    }
    Vector even[VECTORS] = {}, odd[VECTORS] = {};  // two sums, neither of which waits for the other
    for (int64_t at = 0; at <= position; at += 2)
        for (int k = 0; k < VECTORS; k++) {
            const float *value = values + at * WIDTH + k * LANES;
            even[k] += scores[at] * load(value);
            if (at < position) odd[k] += scores[at + 1] * load(value + WIDTH);
        }
    for (int k = 0; k < VECTORS; k++)
        reinterpret_cast<Vector *>(mixed)[k] = (even[k] + odd[k]) * (1.f / total);
}

// Logits [V] after `token` at `position`; its key and value go to the room's pairs, and the last states to `normed`.
extern "C" void step(const Decoder *decoder, const Room *place, int64_t token, int64_t position, float *logits) {
    const Decoder &d = *decoder;
    const Room &room = *place;
    const int64_t size = d.heads * WIDTH, whole = room.length * WIDTH;
    const float *word = d.words + token * size, *where = d.places + position % d.period * size;
    for (int64_t i = 0; i < size; i++) room.states[i] = word[i] + where[i];
    for (int64_t number = 0; number < d.depth; number++) {
        const Layer &layer = d.layers[number];
        float *keys = room.pairs[number], *values = keys + d.heads * whole;
        normalize(layer.norm_1, room.states, room.normed, size);
        multiply<STORE>(layer.projection, room.normed, room.projected, room.threads);
        spread(d.heads, 2 * size * position < SHARED ? 1 : room.threads, [&](int64_t head) {
            const float *query = room.projected + head * WIDTH;
            float *own_keys = keys + head * whole, *own_values = values + head * whole;
            std::memcpy(own_keys + position * WIDTH, query + size, sizeof(float) * WIDTH);
            std::memcpy(own_values + position * WIDTH, query + 2 * size, sizeof(float) * WIDTH);
            const float *relative = layer.relative ? layer.relative + head * d.distances * WIDTH : nullptr;
            attend(query, own_keys, own_values, relative, d.distances, position, layer.scaling,
                   room.scores + head * room.length, room.normed + head * WIDTH);
        });
        multiply<ADD>(layer.output, room.normed, room.states, room.threads);
        normalize(layer.norm_2, room.states, room.normed, size);
        multiply<STORE>(layer.up, room.normed, room.raised, room.threads);
        gelu(room.raised, layer.up.outputs);
        multiply<ADD>(layer.down, room.raised, room.states, room.threads);
    }
    normalize(d.last, room.states, room.normed, size);
    multiply<STORE>(d.head, room.normed, logits, room.threads);
}

// How many floats a vector has: matrices are laid out by it.
extern "C" int lanes() { return LANES; }
