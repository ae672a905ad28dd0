// SPDX-License-Identifier: Apache-2.0
#include "trainer/demo/demo_grammar.h"

namespace lmserve {
namespace {

constexpr GrammarRule kRules[] = {
    // $sentence is the start symbol. Within a sentence, $role and $thing belong
    // to one Agreement, $name is one name, and $host and $guest are two
    // different friends.
    {"sentence", 8, "$np_one is $adjective .", "description"},
    {"sentence", 4, "$np_many are $adjective .", "description"},
    {"sentence", 8, "$np_one $verb_past $object .", "event"},
    {"sentence", 6, "$np_many $verb_past $object $when .", "event"},
    {"sentence", 5, "$np_one near $np_one is $adjective .", "description"},
    {"sentence", 5, "$np_many near $np_one are $adjective .", "description"},
    {"sentence", 4, "$np_one that $verb_past $np_many is $adjective .",
     "description"},
    {"sentence", 4, "$np_many that $verb_past $np_one are $adjective .",
     "description"},
    {"sentence", 6, "$have .", "possession"},
    {"sentence", 4, "$have and $have .", "possession"},
    {"sentence", 5, "$walking .", "walk"},
    {"sentence", 4, "$give .", "request"},
    {"sentence", 4, "$question ?", "question"},
    {"sentence", 4, "$name $verb_past $object in the $place $when .", "event"},
    {"sentence", 3, "$name said that $np_one is $adjective .", "report"},
    {"sentence", 10, "$agreement .", "scene"},
    {"sentence", 4, "$greeting .", "meeting"},

    {"np_one", 8, "the $animal"},
    {"np_one", 4, "the $adjective $animal"},
    {"np_one", 5, "the $person"},
    {"np_one", 2, "a $person from the $place"},
    {"np_one", 2, "the $adjective house"},
    {"np_one", 1, "the house in the $place"},
    {"np_many", 5, "the $animals"},
    {"np_many", 2, "the $adjective $animals"},
    {"np_many", 4, "the $group"},
    {"np_many", 1, "some $group from the $place"},

    {"object", 6, "the $item"},
    {"object", 4, "a $item"},
    {"object", 3, "the $adjective $item"},
    {"object", 2, "$np_one"},
    {"object", 1, "the $item of $name"},

    {"have", 5, "i have $object"},
    {"have", 3, "i had $object $when"},
    {"have", 4, "we have $object"},
    {"have", 4, "he has $object"},
    {"have", 4, "she has $object"},
    {"have", 3, "they have $object"},
    {"have", 2, "$name has $object"},
    {"have", 2, "he had $object $when"},

    {"give", 3, "give me $object"},
    {"give", 2, "$name gave me $object $when"},
    {"give", 2, "tell me what $name has $when"},
    {"give", 1, "they saw me near the $place"},

    {"walking", 4, "$name is walking home after $event"},
    {"walking", 3, "walking home after $event $name $verb_past $object"},
    {"walking", 2, "the $person was walking home after $event"},
    {"walking", 2, "we were walking home $when"},
    {"walking", 1, "$name is walking to the house after $event"},

    {"question", 3, "is $np_one $adjective"},
    {"question", 2, "are $np_many $adjective"},
    {"question", 2, "who $verb_past $object $when"},
    {"question", 1, "do you have $object"},

    {"agreement", 6, "as the $role $started the $group $held their $thing"},
    {"agreement", 3,
     "as the $role $started $when the $group in the $place $held their "
     "$thing"},
    {"agreement", 3,
     "as the $role who $verb_past $object $started the $group $held their "
     "$thing"},
    {"agreement", 2,
     "when the $role $started and $name $verb_past $object $when the $group "
     "$held their $thing"},
    {"started", 5, "started the clock"},
    {"started", 3, "entered the room"},
    {"started", 2, "closed the door"},
    {"started", 1, "looked at $name"},
    {"held", 6, "opened"},
    {"held", 3, "took"},
    {"held", 2, "held"},

    {"greeting", 3,
     "$host walked into the room . $guest walked in too . $between $host said "
     "hi to $guest"},
    {"greeting", 2,
     "$host walked into the room . $guest walked in too . $between $between "
     "$host said hi to $guest"},
    {"greeting", 1,
     "$host walked into the room . $guest walked in too . $host said hi to "
     "$guest"},
    {"friend", 1, "jane"},
    {"friend", 1, "john"},
    {"friend", 1, "mary"},
    {"friend", 1, "peter"},
    {"friend", 1, "anna"},
    {"friend", 1, "tom"},
    {"friend", 1, "lucy"},
    {"friend", 1, "paul"},
    {"between", 3, "it was late in the day and everyone was $adjective ."},
    {"between", 2, "everyone was walking home after $event ."},
    {"between", 1, "the $animal near the door was $adjective ."},

    {"when", 4, "yesterday"},
    {"when", 3, "after $event"},
    {"when", 2, "in the morning"},
    {"when", 2, "last $day"},
    {"when", 1, "before $event"},
};

constexpr WordClass kClasses[] = {
    {"animal",
     "cat dog bird horse cow mouse rabbit fox duck goat sheep pig owl bear "
     "wolf frog turtle crow squirrel badger otter heron beetle lizard falcon "
     "hedgehog weasel magpie stork toad"},
    {"animals",
     "cats dogs birds horses cows mice rabbits foxes ducks goats sheep pigs "
     "owls bears wolves frogs turtles crows squirrels badgers otters herons "
     "beetles lizards falcons hedgehogs weasels magpies storks toads"},
    {"person",
     "teacher student doctor farmer baker sailor driver painter neighbour "
     "soldier tailor hunter nurse miller carpenter plumber singer poet clerk "
     "butcher barber shepherd potter weaver mason cobbler tinker glazier"},
    {"group",
     "students children visitors players guests workers travellers neighbours "
     "members dancers readers villagers apprentices pilgrims recruits"},
    {"item",
     "book ball letter chair table bread apple picture basket bottle hat coat "
     "shoe key box lamp knife cup ladder rope blanket candle mirror drum coin "
     "kettle hammer needle compass lantern saddle barrel feather ribbon anvil "
     "thimble bellows spindle trowel sickle"},
    {"place",
     "house garden street school market kitchen village forest field town "
     "library station harbour river bridge hill church barn mill tower valley "
     "cellar orchard meadow stable quarry chapel pasture"},
    {"adjective",
     "small old big young red happy tired quiet cold green warm hungry clever "
     "white black slow brave loud soft sleepy proud gentle lonely dusty shy "
     "grumpy nimble weary pale curious stubborn cheerful restless crooked "
     "drowsy timid"},
    {"verb_past",
     "saw found liked took bought lost watched carried followed washed painted "
     "sold dropped hid cleaned mended chased borrowed counted forgot admired "
     "moved ignored polished weighed praised guarded misplaced inspected "
     "sketched"},
    {"event",
     "school work lunch dinner church practice breakfast class supper "
     "rehearsal "
     "training harvest"},
    {"day", "monday sunday friday week summer night winter autumn tuesday"},
};

constexpr Agreement kAgreements[] = {
    {"proctor", "exams"},    {"librarian", "books"}, {"chef", "recipes"},
    {"conductor", "scores"}, {"captain", "maps"},    {"referee", "whistles"},
    {"banker", "purses"},    {"surgeon", "gloves"},
};

constexpr PartOfSpeech kPartsOfSpeech[] = {
    {"ADJ", "last late $adjective"},
    {"ADP", "after at before from in into near of to"},
    {"ADV", "home too"},
    {"AUX", "are do is was were"},
    {"CCONJ", "and"},
    {"DET", "a some the"},
    {"INTJ", "hi"},
    {"NOUN",
     "clock day door house morning room yesterday $animal $animals $day $event "
     "$group $item $person $place"},
    {"PRON", "everyone he i it me she their they we what who you"},
    {"PROPN", "$friend $name"},
    {"PUNCT", ". ?"},
    {"SCONJ", "as that when"},
    {"VERB",
     "closed entered gave give had has have held looked opened said saw "
     "started tell took walked walking $verb_past"},
};

}  // namespace

absl::Span<const GrammarRule> GrammarRules() { return kRules; }
absl::Span<const WordClass> WordClasses() { return kClasses; }
absl::Span<const Agreement> Agreements() { return kAgreements; }
absl::Span<const PartOfSpeech> PartsOfSpeech() { return kPartsOfSpeech; }

}  // namespace lmserve
