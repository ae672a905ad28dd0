// SPDX-License-Identifier: Apache-2.0

/**
 * @typedef {object} Example
 * @property {string} title
 * @property {string} text a line is a text of its own
 * @property {string} at the word to look at: text.word, both from 0
 * @property {string[]} tracks
 * @property {string} note what to see
 */

/** @type {Example[]} */
export const EXAMPLES = [
  {
    title: "exams or books",
    text: "as the proctor started the clock the students opened their exams .",
    at: "0.10",
    tracks: ["surprisal", "influence", "difference", "c"],
    note: "Students open exams if a proctor watches them, and books if a librarian does. A short context cannot know: " +
      "the word that decides stands eight words before. An LSTM carries it along in its memory; a plain RNN loses it.",
  },
  {
    title: "the cat is small",
    text: "the cat is small .\nsmall is the cat .",
    at: "1.0",
    tracks: ["surprisal", "rank"],
    note: "A translation system proposes both orders. A language model knows which one is English: compare the sums.",
  },
  {
    title: "home or house",
    text: "jane is walking home after school .\njane is walking house after school .",
    at: "1.3",
    tracks: ["surprisal", "rank", "entropy"],
    note: "One word decides between the two sentences. After it all models are on known ground again, some sooner than others.",
  },
  {
    title: "Jane and John",
    text: "jane walked into the room . john walked in too . it was late in the day and everyone was tired . jane said hi to john .",
    at: "0.26",
    tracks: ["surprisal", "influence", "difference"],
    note: "Jane greets the one who came in too. The longer the stretch between the two, the harder the name is to keep: " +
      "of the small networks of the demo, only the GRU has begun to.",
  },
  {
    title: "I have, I has",
    text: "i have a book .\ni has a book .\nme have a book .",
    at: "1.1",
    tracks: ["surprisal", "rank"],
    note: "Agreement: three candidates of a phrase, of which a decoder takes the one with the fewest bits.",
  },
];
