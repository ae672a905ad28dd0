# SPDX-License-Identifier: Apache-2.0
# Copies the header INPUT that protoc generated to OUTPUT, with its includes of
# other generated headers changed to "lmserve/lm/...":
#   cmake -DINPUT=... -DOUTPUT=... -P rewrite_includes.cmake
file(READ ${INPUT} text)
string(REGEX REPLACE "#include \"lm/" "#include \"lmserve/lm/" text "${text}")
file(WRITE ${OUTPUT} "${text}")
