// SPDX-License-Identifier: Apache-2.0
// A target that owns precompiled headers needs a source.
