/// How a render gets from its first phase to the target size; `--method`.
package enum Method: String, CaseIterable, Sendable {
    /// Denoises every phase over the whole schedule, with skip residuals and dilated sampling (Du et al., CVPR 2024,
    /// arXiv 2311.16973).
    case demofusion
    /// Enlarges the decoded picture and denoises it over the last part of the schedule (after PixelRush, arXiv
    /// 2602.12769).
    case refine
}
