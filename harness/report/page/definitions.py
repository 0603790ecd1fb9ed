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
    "ranked": "Tokens that enter the correlation.",
    "planted": "Tokens that are known to matter, from how the text was made.",
    "aer": "Alignment error rate: 1 - (|A and S| + |A and P|) / (|A| + |S|), with the proposed links A, the sure ones "
    "S and the possible ones P.",
}
