/// Classifier-free guidance (Ho and Salimans, 2021), and its extension to several prompts (Liu et al., 2022).
extension WorkUnit.View {
    /// The prediction of a view: the only one unchanged, or uncond + Σ guidance · weight · (text − uncond).
    ///
    /// - Parameter predictions: one for each conditioning of the view, all of the same shape
    /// - Returns: the combined prediction, of the same shape
    package func guided(_ predictions: [Tensor]) -> Tensor {
        precondition(predictions.count == conditioning.count, "\(predictions.count) predictions")
        guard predictions.count > 1 else { return predictions[0] }
        let negative = predictions[0]
        var result = negative
        for (entry, text) in zip(conditioning, predictions).dropFirst() {
            precondition(negative.shape == text.shape, "\(negative.shape) vs \(text.shape)")
            let scale = guidance * entry.weight
            result.withMutableFloats { out in
                negative.withFloats { uncond in
                    text.withFloats { text in
                        for i in out.indices { out[i] += scale * (text[i] - uncond[i]) }
                    }
                }
            }
        }
        return result
    }

    /// The factor by which guidance may amplify a prediction; 0 for a single one.
    package var gain: Float {
        conditioning.count > 1
            ? conditioning.dropFirst().reduce(0) { $0 + abs(guidance * $1.weight) } : 0
    }
}

extension WorkUnit {
    /// Combines the results of a guided view's halves.
    package func joined(_ halves: [WorkResult]) -> WorkResult {
        guard case .predict(let view) = work else { preconditionFailure("\(name) has no halves") }
        return WorkResult(tensor: view.guided(halves.map(\.wholeTensor)))
    }
}
