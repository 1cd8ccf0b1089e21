// Causal attention within the sequences of packed rows, and its gradient; `packed_attention.py` says what is given.
//
// A head's keys (and, for the gradient, its values) lie in panels of LANES places, [places / LANES, WIDTH, LANES], so
// that one vector holds what a query has in common with as many keys, and no sum is taken across its lanes.

#include <vector>

#include "vectors.h"

constexpr int WIDTH = HEAD_WIDTH, PARTS = WIDTH / LANES;

struct Heads {
    const float *query, *key, *value;  // [rows, heads, length, WIDTH] in these steps
    int64_t row, head, place;
    const int32_t *first;  // [rows, length]: the first place that a query sees
    int64_t rows, heads, length;
    float scaling;
};

// One head of one row.
struct Head {
    const float *query, *key, *value;
    const int32_t *first;
    int64_t place, length;
    float scaling;

    Head(const Heads &all, int64_t row, int64_t head)
        : query(all.query + row * all.row + head * all.head),
          key(all.key + row * all.row + head * all.head),
          value(all.value + row * all.row + head * all.head),
          first(all.first + row * all.length),
          place(all.place),
          length(all.length),
          scaling(all.scaling) {}
};

template <class Work>
static inline void each_head(const Heads &all, int64_t threads, Work work) {
    spread(all.rows * all.heads, threads, [&](int64_t n) {
        work(Head(all, n / all.heads, n % all.heads), n / all.heads, n % all.heads);
    });
}

static std::vector<float> panels(const float *rows, int64_t place, int64_t length) {
    std::vector<float> laid((length + LANES - 1) / LANES * LANES * WIDTH, 0.f);
    for (int64_t at = 0; at < length; at++)
        for (int w = 0; w < WIDTH; w++) laid[(at / LANES * WIDTH + w) * LANES + at % LANES] = rows[at * place + w];
    return laid;
}

// The products of `vector` with all that the panels `from` to `to` hold.
static inline void products(const float *vector, const float *laid, int64_t from, int64_t to, float *into) {
    for (int64_t panel = from; panel <= to; panel++) {
        const float *row = laid + panel * WIDTH * LANES;
        Vector sums[4] = {};  // of which none waits for the other
        for (int w = 0; w < WIDTH; w += 4)
            for (int part = 0; part < 4; part++) sums[part] += vector[w + part] * load(row + (w + part) * LANES);
        store(into + panel * LANES, (sums[0] + sums[1]) + (sums[2] + sums[3]));
    }
}

extern "C" {

// `mixed` [rows, length, heads, WIDTH]; `logs` [rows, heads, length]: the logarithm of the sum of a query's weights.
void attend(const Heads *all, int64_t threads, float *mixed, float *logs) {
    each_head(*all, threads, [&](const Head &head, int64_t row, int64_t number) {
        const std::vector<float> keys = panels(head.key, head.place, head.length);
        std::vector<float> weights(keys.size() / WIDTH);
        for (int64_t t = 0; t < head.length; t++) {
            const int64_t first = head.first[t];
            products(head.query + t * head.place, keys.data(), first / LANES, t / LANES, weights.data());
            float highest = weights[first], sum = 0.f;
            for (int64_t key = first; key <= t; key++) highest = weights[key] > highest ? weights[key] : highest;
            for (int64_t key = first; key <= t; key++) {
                weights[key] = exponential((weights[key] - highest) * head.scaling);
                sum += weights[key];
            }
            Vector sums[PARTS] = {};
            for (int64_t key = first; key <= t; key++)
                for (int part = 0; part < PARTS; part++)
                    sums[part] += weights[key] * load(head.value + key * head.place + part * LANES);
            float *into = mixed + ((row * all->length + t) * all->heads + number) * WIDTH;
            for (int part = 0; part < PARTS; part++) store(into + part * LANES, sums[part] / sum);
            logs[(row * all->heads + number) * all->length + t] = highest * head.scaling + std::log(sum);
        }
    });
}

// `grads` [rows, length, 3, heads, WIDTH] of queries, keys and values, from that of `mixed`.
void attend_backward(const Heads *all, int64_t threads, const float *mixed, const float *logs, const float *grad_mixed,
                     float *grads) {
    const int64_t across = all->heads * WIDTH;
    each_head(*all, threads, [&](const Head &head, int64_t row, int64_t number) {
        const std::vector<float> keys = panels(head.key, head.place, head.length);
        const std::vector<float> values = panels(head.value, head.place, head.length);
        std::vector<float> weights(keys.size() / WIDTH), changes(keys.size() / WIDTH);
        const int64_t start = row * all->length;
        float *grad = grads + start * 3 * across + number * WIDTH;
        for (int64_t t = 0; t < head.length; t++)
            for (int part = 0; part < PARTS; part++) {
                store(grad + (3 * t + 1) * across + part * LANES, Vector{});
                store(grad + (3 * t + 2) * across + part * LANES, Vector{});
            }
        for (int64_t t = 0; t < head.length; t++) {
            const int64_t first = head.first[t], place = (start + t) * across + number * WIDTH;
            const float *query = head.query + t * head.place, *given = grad_mixed + place;
            const float log = logs[(row * all->heads + number) * all->length + t];
            products(query, keys.data(), first / LANES, t / LANES, weights.data());
            products(given, values.data(), first / LANES, t / LANES, changes.data());
            float mean = 0.f;
            for (int w = 0; w < WIDTH; w++) mean += given[w] * mixed[place + w];
            for (int64_t key = first; key <= t; key++) {
                weights[key] = exponential(weights[key] * head.scaling - log);
                changes[key] = weights[key] * (changes[key] - mean) * head.scaling;
            }
            Vector sums[PARTS] = {};
            for (int64_t key = first; key <= t; key++) {
                float *grad_key = grad + (3 * key + 1) * across, *grad_value = grad_key + across;
                for (int part = 0; part < PARTS; part++) {
                    const int at = part * LANES;
                    sums[part] += changes[key] * load(head.key + key * head.place + at);
                    store(grad_key + at, load(grad_key + at) + changes[key] * load(query + at));
                    store(grad_value + at, load(grad_value + at) + weights[key] * load(given + at));
                }
            }
            for (int part = 0; part < PARTS; part++) store(grad + 3 * t * across + part * LANES, sums[part]);
        }
    });
}
}
