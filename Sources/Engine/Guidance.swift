/// Classifier-free guidance (Ho and Salimans, 2021).
package enum Guidance {
    /// uncond + guidance · (text − uncond), element by element.
    ///
    /// - Parameters:
    ///   - negative: prediction for the negative prompt
    ///   - text: prediction for the prompt, of the same shape
    ///   - guidance: how far to go from one towards the other
    /// - Returns: the guided prediction
    package static func combine(negative: Tensor, text: Tensor, by guidance: Float) -> Tensor {
        precondition(negative.shape == text.shape, "\(negative.shape) vs \(text.shape)")
        return Tensor(shape: text.shape) { out in
            negative.withFloats { uncond in
                text.withFloats { text in
                    for i in out.indices {
                        out[i] = uncond[i] + guidance * (text[i] - uncond[i])
                    }
                }
            }
        }
    }
    /// The predictions of one latent for several prompts, from one batch.
    ///
    /// - Parameters:
    ///   - latent: `[1, height, width, channels]`
    ///   - contexts: of each prompt, `[1, tokens, width]`
    ///   - pooled: of each prompt, `[1, width]`; none for models without them
    ///   - evaluate: the UNet on a batch: latents, contexts, pooled
    /// - Returns: one prediction, shaped as `latent`, per prompt
    /// - Throws: `InputError` for embeddings or predictions that do not fit, and what `evaluate`
    ///   throws
    package static func branches(
        of latent: Tensor,
        contexts: [Tensor],
        pooled: [Tensor],
        by evaluate: (Tensor, Tensor, Tensor?) throws -> Tensor
    ) throws -> [Tensor] {
        guard contexts.allSatisfy({ $0.shape == contexts[0].shape }),
            pooled.allSatisfy({ $0.shape == pooled[0].shape }),
            [0, contexts.count].contains(pooled.count)
        else {
            throw InputError(
                "prompt embeddings",
                "they are \(contexts.map(\.shape)), pooled \(pooled.map(\.shape))",
                fix: "Make all of them with one model"
            )
        }
        let predictions = try evaluate(
            Tensor(joining: contexts.map { _ in latent }),
            Tensor(joining: contexts),
            pooled.isEmpty ? nil : Tensor(joining: pooled)
        )
        guard predictions.shape == [contexts.count] + latent.shape.dropFirst() else {
            throw InputError(
                "the UNet",
                "it makes \(predictions.shape) of \(contexts.count) latents \(latent.shape)",
                fix: "Use a model whose predictions are shaped as its latents"
            )
        }
        return predictions.rows
    }
}
