/// Classifier-free guidance (Ho and Salimans, 2021).
extension WorkUnit.View {
    /// The prediction of a view: the only one, or uncond + guidance · (text − uncond).
    ///
    /// - Parameter predictions: one for each conditioning of the guided view, all of one shape
    /// - Returns: of that shape
    package func guided(_ predictions: [Tensor]) -> Tensor {
        guard predictions.count == 2 else { return predictions[0] }
        let (negative, text) = (predictions[0], predictions[1])
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
}

extension WorkUnit {
    /// The result of a guided view, from those of its halves.
    package func joined(_ halves: [WorkResult]) -> WorkResult {
        guard case .predict(let view) = work else { preconditionFailure("\(name) has no halves") }
        return WorkResult(tensor: view.guided(halves.map(\.wholeTensor)))
    }
}
