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
}
