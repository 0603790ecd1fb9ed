"""What every number of a page means, by its key: shown beside it."""

DEFINITIONS = {
    "mean": "Mean over examples of Spearman's rho between the explainer's scores and the reference's, over the ranked "
    "tokens of each example. For a metric: the mean of its value.",
    "std": "Standard deviation over examples: a spread, not the error of the mean.",
    "interval": "95% bootstrap interval of the mean over examples; examples of one cluster are resampled together.",
    "n": "Number of examples on which the value is defined.",
    "undefined": "Number of examples without a value, for example because all scores are equal or fewer than three "
    "tokens are ranked. They are left out of the mean.",
    "group": "Cells of one layer that share a letter do not differ significantly: paired sign-flip tests with Holm's "
    "correction over all pairs of the table's cells.",
    "best": "The best explainer of the table, and all cells that do not differ significantly from it.",
    "above_floors": "Significantly above every floor: an explainer that knows nothing of what the model computes.",
    "floor": "A floor knows nothing of what the model computes for this text. An explainer that is not above it shows "
    "nothing.",
    "rho_all": "Mean Spearman's rho over all tokens, special tokens too.",
    "rho_content": "Mean Spearman's rho over the text's own tokens.",
    "partial": "Mean Spearman's rho controlling for the token's position.",
    "tau": "Mean Kendall's tau-b over the ranked tokens.",
    "top": "How much of the reference's top quarter of tokens the explainer's top quarter holds, on average.",
    "tied": "Share of tokens whose score another token has too.",
    "saturated": "Share of tokens whose flow is at its upper bound.",
    "unassigned": "Share, by size, of the parts of the output that belong to no token.",
    "ranking": "Each explainer at its best layer. The layer is chosen on a third of the examples; the numbers are from "
    "the others.",
    "effect": "Cohen's d: the mean of the paired differences from the best floor, divided by their standard deviation.",
    "mean_rank": "Mean over examples of the explainer's rank among all explainers and floors; 1 is best.",
    "agreement": "Mean Spearman's rho between the scores of two explainers, each at its best layer.",
    "reference_agreement": "Mean over examples of Spearman's rho between the scores of two references, over the ranked "
    "tokens.",
    "seconds": "Seconds for one example, as if the method ran alone, without the forward pass that all methods share.",
    "passes": "Texts through the whole model, and gradients back from its output, for one example.",
    "frontier": "No other explainer is both cheaper and better.",
    "rank": "1 is the token with the highest score; tokens with equal scores share the mean of their ranks.",
    "score": "The explainer's score of a token, in its own unit.",
    "reference": "What explainers are compared with: a score that is measured on the model itself.",
    "layer": "Layers count from 1. A method without layers has one value for the whole model, under `input`.",
    "depth": "A layer's number, or its share of the model's number of layers, so that models of different depth can be "
    "compared.",
    "example": "One text whose output is explained.",
    "rho": "Spearman's rho between the explainer's scores and the reference's, over the ranked tokens of this example.",
    "difference": "Rho of the first explainer minus rho of the second, on the same example.",
    "probability": "The model's probability of each class.",
    "position": "The token whose last state the output is read from; tokens count from 0.",
    "cluster": "Examples of one cluster are not independent, for example because they share a template.",
    "tag": "A fact that the task states about the example.",
    "ranked": "Tokens that enter the correlation.",
    "planted": "Tokens that are known to matter, from how the text was made.",
    "aer": "Alignment error rate: 1 - (|A and S| + |A and P|) / (|A| + |S|), with the proposed links A, the sure ones "
    "S and the possible ones P.",
    "precision": "Share of the proposed links that are sure or possible ones.",
    "recall": "Share of the sure links that are proposed.",
    "alignment_row": "The scores of a target word are those of the position that predicts it (output), or of the "
    "position at which it is read (input); of a word in pieces, their mean.",
    "links": "Argmax links each target word with the source word of the highest score; threshold links it with every "
    "source word that has at least an even share of the positive scores.",
    "sentences": "Number of sentence pairs with gold links.",
    "graph_edges": "An edge from row j to position i at layer l is the score of token j for position i. For attention, "
    "j is a position one layer below; for other explainers it is an input token.",
    "graph_paths": "The weights along a path are multiplied; where paths meet, their products add up.",
    "head_map": "What the position on the left takes from each token on the right, in one head of one layer.",
    "head_weight": "Mean over these tokens of the head's weight from the explained position.",
    "plane_explained": "Share of the variance of the head's queries and keys that lies in the plane.",
    "plane_agreement": "Spearman's rho of nearness in the plane with the product of query and key, over all pairs that "
    "attention can see: 1 means that nearer is always more.",
    "plane_by_query": "The same over the keys of one query, as the mean over queries.",
    "plane_left_out": "How far attention weights are at most from the softmax of the products: what a position bias or "
    "a cap adds, which no plane shows.",
}
