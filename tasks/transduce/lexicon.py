"""The words of the source, and those of the made-up language that they are translated into."""

GENDERS = ("m", "f", "n")
DEFINITE, INDEFINITE = "the", "a"
SUBJECT, OBJECT = "it", "that"  # pronouns for the subject and for the object of the first clause
COMMA, STOP = ",", "."
WHILE = ("while", "sint")  # begins a clause, which the translation puts first
PARTICLE = "lo"  # stands after a definite object; the source has no such word

ARTICLES = {DEFINITE: {"m": "gol", "f": "gam", "n": "gur"}, INDEFINITE: {"m": "un", "f": "oda", "n": "ith"}}
PRONOUNS = {"m": "heth", "f": "sabi", "n": "dor"}  # of either source pronoun

NOUNS = {  # with their gender, which no spelling shows
    "dog": ("kano", "m"),
    "cat": ("tilek", "f"),
    "house": ("borun", "n"),
    "garden": ("velit", "m"),
    "river": ("asto", "f"),
    "child": ("nimu", "n"),
    "teacher": ("orrek", "f"),
    "king": ("salba", "m"),
    "horse": ("drevi", "n"),
    "bird": ("pilso", "f"),
    "tree": ("maruk", "n"),
    "doctor": ("jentu", "m"),
    "boat": ("leshi", "f"),
    "window": ("tovar", "m"),
    "stone": ("ubrel", "n"),
    "farmer": ("cashi", "n"),
    "wolf": ("fendo", "f"),
    "ship": ("yolma", "m"),
    "bridge": ("hasip", "f"),
    "flower": ("rukta", "n"),
    "sailor": ("emvor", "m"),
    "tower": ("ziban", "n"),
    "queen": ("wolpi", "m"),
    "mouse": ("quena", "f"),
}

ADJECTIVES = {
    "red": "sarn",
    "small": "piku",
    "tall": "vemor",
    "big": "tangu",
    "new": "iliss",
    "green": "broth",
    "happy": "lumai",
    "cold": "kirst",
    "quiet": "oshen",
    "strange": "dwari",
    "heavy": "goruth",
    "bright": "elpha",
}

TRANSITIVE = {
    "sees": "vidorat",
    "hears": "auselat",
    "follows": "temrat",
    "likes": "plaverat",
    "finds": "invorat",
    "leaves": "quitharat",
    "paints": "morbirat",
    "hides": "celtarat",
}

INTRANSITIVE = {
    "sleeps": "dornit",
    "falls": "cadrit",
    "waits": "monsit",
    "shines": "lucvit",
    "moves": "torgit",
    "sings": "hanlit",
}

ADVERBS = {
    "slowly": "lenem",
    "often": "sopem",
    "quickly": "rasem",
    "never": "numqem",
    "again": "iterem",
    "now": "huncem",
}

PREPOSITIONS = {"near": "bei", "behind": "ruka", "under": "subo", "beside": "latha"}  # which follow their noun
