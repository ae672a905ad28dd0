// SPDX-License-Identifier: Apache-2.0
//
// Made by torch_labels_golden.py with PyTorch 2.15.0.
#ifndef LMSERVE_TESTS_MODELS_NEURAL_TORCH_LABELS_GOLDEN_H_
#define LMSERVE_TESTS_MODELS_NEURAL_TORCH_LABELS_GOLDEN_H_

#include <cstddef>

namespace lmserve {

inline constexpr double kLstmTagger[] = {
    -1.58558583, -0.81271173, -1.29438302, -2.55809735, -1.73281600,
    -0.80464455, -1.18951234, -2.63669384, -1.79399757, -0.82699885,
    -1.12482199, -2.63616076, -1.78529821, -0.86994047, -1.08820233,
    -2.57105246, -1.73270647, -0.92749679, -1.07095914, -2.46542788,
};
inline constexpr double kLstmCrf[] = {
    -1.88163977, -1.06426733, -1.13498683, -1.70786128, -1.39913726,
    -0.91206854, -1.41462449, -2.22118120, -1.49998183, -0.92633168,
    -1.31532599, -2.18502210, -1.49180734, -0.90227327, -1.41380289,
    -2.07011527, -2.19325752, -0.89162370, -0.89695160, -2.65006273,
};
inline constexpr size_t kLstmCrfLabels[] = {1, 2, 0, 1, 2};
inline constexpr double kLstmVector_max[] = {
    -0.24064844, -0.09746883, 0.17048561, 0.09872115,
    0.10221830,  0.28527338,  0.17224432, -0.16233088,
};
inline constexpr double kLstmClassifier_max[] = {
    -1.45665382,
    -0.89877213,
    -1.31755803,
    -2.38457961,
};
inline constexpr double kLstmVector_mean[] = {
    -0.37970506, -0.25003959, 0.09553310, 0.07061468,
    0.08333007,  0.21975301,  0.11944262, -0.30742268,
};
inline constexpr double kLstmClassifier_mean[] = {
    -1.71844144,
    -0.84745946,
    -1.15400638,
    -2.56678980,
};
inline constexpr double kLstmVector_last[] = {
    -0.48171009, -0.35185422, 0.14491542, 0.08111637,
    0.09668671,  0.15836287,  0.17224432, -0.38207188,
};
inline constexpr double kLstmClassifier_last[] = {
    -1.87629153,
    -0.85976945,
    -1.04392651,
    -2.63786548,
};
inline constexpr double kGruTagger[] = {
    -2.38803428, -0.61325697, -1.10240024, -3.36584340, -2.75180775,
    -0.68560733, -0.90782484, -3.54036652, -2.99547196, -0.90422621,
    -0.66624924, -3.45775288, -2.84649624, -1.07939107, -0.58297147,
    -3.12554136, -2.51644916, -1.18734868, -0.59956112, -2.73071442,
};
inline constexpr double kGruCrf[] = {
    -2.57958171, -0.77750361, -0.99149021, -2.36852071, -2.26770537,
    -0.66356713, -1.13642801, -2.80550726, -2.53563729, -0.84489636,
    -0.85805417, -2.70007294, -2.31464995, -0.89685559, -0.90758180,
    -2.40960969, -2.85484099, -1.21774829, -0.52153156, -2.93881071,
};
inline constexpr size_t kGruCrfLabels[] = {2, 1, 2, 1, 2};
inline constexpr double kGruVector_max[] = {
    -0.24549837, -0.06581392, 0.59873171, 0.41264841,
    0.45873923,  0.78820861,  0.72195955, -0.17601747,
};
inline constexpr double kGruClassifier_max[] = {
    -1.65141192,
    -0.71723394,
    -1.36407637,
    -2.74102976,
};
inline constexpr double kGruVector_mean[] = {
    -0.56289422, -0.36311770, 0.37470141, 0.34037217,
    0.38494410,  0.54718805,  0.26687003, -0.59058961,
};
inline constexpr double kGruClassifier_mean[] = {
    -2.48429656,
    -0.79034781,
    -0.86544513,
    -3.16854715,
};
inline constexpr double kGruVector_last[] = {
    -0.72828552, -0.43912550, 0.47431403, 0.35485247,
    0.45685550,  0.45054876,  0.72195955, -0.74587561,
};
inline constexpr double kGruClassifier_last[] = {
    -2.56591337,
    -0.73801546,
    -0.89522883,
    -3.30838422,
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_MODELS_NEURAL_TORCH_LABELS_GOLDEN_H_
