import CCryptoki

/// What the information functions say of this product.
enum Product {
  static let manufacturer = "Strongroom"
  static let library = "Strongroom PKCS#11 module"
  static let slotDescription = "Strongroom secure world"
  static let model = "Strongroom"
  static let version = CK_VERSION(major: 0, minor: 1)
}
